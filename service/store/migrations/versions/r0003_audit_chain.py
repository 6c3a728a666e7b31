"""Chain the audit: every line gets a hash over itself and the line before.

Lines from before are chained in the order of their numbers. A number could be missing
among them, because PostgreSQL gives none back after a failure; from here on a missing
number is evidence, so they are counted anew, and a line of the chain's own says which
were missing. A gateway of the version before serves on, but can no longer change what
is audited: it does not know how to put that on record.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from service.store.chain import COLUMNS, GENESIS, link, moment_as_stored

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_BATCH_LINES = 1000
_GAPS_NAMED_MAX = 20


def upgrade() -> None:
    """Make the audit anew with its chain, and the head that says where the chain ends."""
    op.rename_table("audit", "audit_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE audit_before RENAME CONSTRAINT pk_audit TO pk_audit_before")
    audit = _audit()
    length, newest = _chain(audit)
    op.drop_table("audit_before")
    _make_append_only()
    op.bulk_insert(_audit_head(), [{"id": 1, "length": length, "hash": newest}])


def _audit() -> sa.Table:
    return op.create_table(
        "audit",
        sa.Column("id", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=name in ("before", "after"))
            for name in ("actor", "action", "subject", "before", "after", "reason")
        ),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        comment="Who changed what, as a chain. Triggers refuse changes and deletions.",
    )


def _audit_head() -> sa.Table:
    return op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        comment="One row: where the audit's chain ends. Whoever adds a line holds it.",
    )


def _make_append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )


def _chain(audit: sa.Table) -> tuple[int, str]:
    """Copy all lines with their links; how many there are now, and the last link."""
    length, newest, before = 0, GENESIS, 0
    gaps: list[str] = []
    for lines in _lines_from_before():
        for line in lines:
            number = line.pop("number")
            if number != before + 1:
                gaps.append(_range(before + 1, number - 1))
            length, before = length + 1, number
            newest = _linked(line, newest, length)
        op.bulk_insert(audit, lines)
    if length:
        told = _line_of_the_chain(length, gaps)
        length += 1
        newest = _linked(told, newest, length)
        op.bulk_insert(audit, [told])
    return length, newest


def _lines_from_before() -> Iterator[list[dict[str, Any]]]:
    table = sa.table(
        "audit_before",
        sa.column("id", _ROW_NUMBER),
        sa.column("at", _MOMENT),
        *(sa.column(name, sa.Text) for name in COLUMNS if name != "at"),
    )
    newest_read = None
    while True:
        some = sa.select(table).order_by(table.c.id).limit(_BATCH_LINES)
        if newest_read is not None:
            some = some.where(table.c.id > newest_read)
        lines = [dict(row) for row in op.get_bind().execute(some).mappings()]
        if not lines:
            return
        newest_read = lines[-1]["id"]
        for line in lines:
            line["number"] = line.pop("id")
        yield lines


def _linked(line: dict[str, Any], previous: str, number: int) -> str:
    texts = (line[name] for name in COLUMNS if name != "at")
    stored = [None if text is None else text.encode() for text in texts]
    line["id"] = number
    line["hash"] = link(previous, number, [moment_as_stored(line["at"]), *stored])
    return str(line["hash"])


def _line_of_the_chain(length: int, gaps: list[str]) -> dict[str, Any]:
    named = ", ".join(gaps[:_GAPS_NAMED_MAX])
    more = f" and {len(gaps) - _GAPS_NAMED_MAX} more" if len(gaps) > _GAPS_NAMED_MAX else ""
    return {
        "at": datetime.now(UTC),
        "actor": "probewatch",
        "action": "audit.chain",
        "subject": "audit",
        "before": f"numbers {named}{more} were missing, and all were counted anew"
        if gaps
        else None,
        "after": f"{length} entries from before are chained",
        "reason": "an entry changed or deleted before this one would not show",
    }


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
