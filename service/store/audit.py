"""The record of who changed what, written in the transaction that makes the change.

Each line is bound to the one before (`chain.py`), and one row, the head, says how many
lines there are and the hash of the last. Whoever adds a line takes the head first and
holds it until the transaction ends, so two gateways on one database wait for each other
instead of forking the chain, and a transaction that fails gives its number back.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from service.domain import AuditEntry, utc_now
from service.store.anchors import Anchor
from service.store.chain import link, moment_as_stored, text_as_stored
from service.store.database import Database
from service.store.errors import DamagedRow
from service.store.lines import Line, newest_lines
from service.store.tables import audit, audit_head
from service.store.verify import Progress, Verification, verify_chain

_ENTRIES_MAX = 500


def add_entry(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    before: str | None,
    after: str | None,
    reason: str,
) -> None:
    """Add one line; it stands or falls with the caller's transaction.

    Call it after the transaction's other changes: the head is held from here to the end,
    and whoever took it first and then waited for a row could meet somebody who waits the
    other way round.

    Raises:
        DamagedRow: the chain has no head, so nothing may be changed that belongs on it.
    """
    this = audit_head.c.id == 1
    taken = (
        update(audit_head)
        .where(this)
        .values(length=audit_head.c.length + 1)
        .returning(audit_head.c.length, audit_head.c.hash)
    )
    head = connection.execute(taken).first()
    if head is None:
        raise DamagedRow("the head of the audit", "its row is missing")
    at = utc_now()
    texts = {
        "actor": actor,
        "action": action,
        "subject": subject,
        "before": before,
        "after": after,
        "reason": reason,
    }
    stored = [moment_as_stored(at), *map(text_as_stored, texts.values())]
    newest = link(head.hash, head.length, stored)
    connection.execute(insert(audit).values(id=head.length, at=at, hash=newest, **texts))
    connection.execute(update(audit_head).where(this).values(hash=newest))


class Audit:
    """Reads the record. Nothing changes or deletes a line: the tables' triggers refuse it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self, *, limit: int = 50) -> tuple[AuditEntry, ...]:
        """The newest lines, newest first, 500 at most.

        Raises:
            StoreUnavailable: the database failed.
            DamagedRow: a line cannot be read back; `lines` shows it all the same.
        """
        newest = select(audit).order_by(audit.c.id.desc()).limit(min(limit, _ENTRIES_MAX))
        with self._database.reading() as connection:
            return tuple(AuditEntry(**row) for row in connection.execute(newest).mappings())

    def lines(self, *, limit: int = 50) -> tuple[Line, ...]:
        """The newest lines as they stand, newest first, 500 at most; damage hides none.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            return newest_lines(connection, limit=min(limit, _ENTRIES_MAX))

    def head(self) -> Anchor:
        """Where the chain ends now.

        Raises:
            StoreUnavailable: the database failed.
            DamagedRow: the chain has no head.
        """
        asked = select(audit_head.c.length, audit_head.c.hash).where(audit_head.c.id == 1)
        with self._database.reading() as connection:
            row = connection.execute(asked).first()
        if row is None:
            raise DamagedRow("the head of the audit", "its row is missing")
        return Anchor(at=utc_now(), length=row.length, hash=row.hash)

    def verify(
        self, anchors: tuple[Anchor, ...] = (), progress: Progress | None = None
    ) -> Verification:
        """Go through the whole chain and compare it with its head and with anchors.

        Args:
            anchors: heads that were kept outside this database.
            progress: told now and then how many lines were gone through, of how many.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            return verify_chain(connection, anchors, progress)
