"""The record of who changed what, written in the transaction that makes the change."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from service.domain import AuditEntry, utc_now
from service.store.database import Database
from service.store.tables import audit

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
    """Add one line; it stands or falls with the caller's transaction."""
    connection.execute(
        insert(audit).values(
            at=utc_now(),
            actor=actor,
            action=action,
            subject=subject,
            before=before,
            after=after,
            reason=reason,
        )
    )


class Audit:
    """Reads the record. Nothing changes or deletes a line: the tables' triggers refuse it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self, *, limit: int = 50) -> tuple[AuditEntry, ...]:
        """The newest lines, newest first, 500 at most.

        Raises:
            StoreUnavailable: the database failed.
        """
        newest = select(audit).order_by(audit.c.id.desc()).limit(min(limit, _ENTRIES_MAX))
        with self._database.reading() as connection:
            return tuple(AuditEntry(**row) for row in connection.execute(newest).mappings())
