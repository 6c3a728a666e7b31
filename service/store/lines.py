"""Lines of the audit as they stand in the table, whatever somebody made of them.

Whoever looks for tampering must not stumble over it: bytes that are no text, a number
where a moment should be or an escape that is cut short would make the ordinary types
raise. So columns are read as bytes here, and nothing in them is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)

from service.store.chain import COLUMNS, link
from service.store.errors import DamagedRow
from service.store.tables import audit, audit_head
from service.store.text import decode_text

_PAGE_LINES = 2000
_NO_TEXT = b"\x00"
"""Stands for bytes in a column of text: no text is stored so, because NUL is escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the audit."""

    id: int
    """The number under which it stands."""
    columns: tuple[bytes | None, ...]
    """What stands in `chain.COLUMNS`."""
    hash: str
    """Its link as it stands; 64 hex digits unless somebody changed it."""

    def link(self, previous: str, number: int) -> str:
        """The link that this content has as the line of that number, after that link."""
        return link(previous, number, self.columns)

    def follows(self, previous: str, number: int) -> bool:
        """Whether this is the line of that number, after that link."""
        return self.link(previous, number) == self.hash

    def shown(self, column: str) -> str | None:
        """A column for the eye; what is no text of ours is shown as it stands."""
        stored = self.columns[COLUMNS.index(column)]
        if stored is None:
            return None
        text = stored.decode("utf-8", "backslashreplace")
        try:
            return decode_text(text)
        except DamagedRow:
            return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The row that says where the chain ends, as it stands."""

    length: int
    """How many lines it counts."""
    hash: str
    """The link of the last of them."""


def lines_after(connection: Connection, number: int | None) -> Iterator[Line]:
    """All lines with a higher number, or all; read a page at a time, so that any number fits."""
    while True:
        page = _all_lines(connection).order_by(audit.c.id).limit(_PAGE_LINES)
        if number is not None:
            page = page.where(audit.c.id > number)
        found = [_line(row) for row in connection.execute(page)]
        if not found:
            return
        yield from found
        number = found[-1].id


def line_at(connection: Connection, number: int) -> Line | None:
    """The line that stands under a number."""
    row = connection.execute(_all_lines(connection).where(audit.c.id == number)).first()
    return None if row is None else _line(row)


def newest_lines(connection: Connection, *, limit: int) -> tuple[Line, ...]:
    """The lines of the highest numbers, highest first."""
    newest = _all_lines(connection).order_by(audit.c.id.desc()).limit(limit)
    return tuple(_line(row) for row in connection.execute(newest))


def numbers_with_hash(connection: Connection, link: str, *, limit: int) -> tuple[int, ...]:
    """The numbers under which a link stands, lowest first; there should be one."""
    asked = select(audit.c.id).where(audit.c.hash == link).order_by(audit.c.id).limit(limit)
    return tuple(connection.scalars(asked))


def head_row(connection: Connection) -> Head | None:
    """The chain's head; None when its row is gone."""
    length, hashed = audit_head.c.length, _as_stored(connection, audit_head.c.hash)
    row = connection.execute(select(length, hashed).where(audit_head.c.id == 1)).first()
    if row is None or not isinstance(row[0], int):
        return None
    return Head(length=row[0], hash=_hash(row[1]))


def _all_lines(connection: Connection) -> Select[tuple[object, ...]]:
    columns = (_as_stored(connection, audit.c[name]) for name in (*COLUMNS, "hash"))
    return select(audit.c.id, *columns)


def _line(row: Sequence[Any]) -> Line:
    return Line(id=row[0], columns=tuple(row[1:-1]), hash=_hash(row[-1]))


def _hash(stored: bytes | None) -> str:
    return "" if stored is None else stored.decode("latin-1")


def _as_stored(connection: Connection, column: Column[object]) -> ColumnElement[bytes]:
    """A column's bytes, as `chain.py` hashes them."""
    if connection.dialect.name == "sqlite":
        whole = cast(column, LargeBinary)
        kind = func.typeof(column)
        found = case((kind == "blob", literal(_NO_TEXT, LargeBinary)), else_=whole)
        return type_coerce(found, LargeBinary)
    text = _moment_as_text(column) if column is audit.c.at else column
    return type_coerce(func.convert_to(cast(text, Text), "UTF8"), LargeBinary)


def _moment_as_text(column: Column[object]) -> ColumnElement[str]:
    """A moment as SQLite keeps it. A year before Christ would else look like one of ours."""
    utc = func.timezone("UTC", column)
    written = func.to_char(utc, "YYYY-MM-DD HH24:MI:SS.US")
    ancient = column < literal_column("timestamptz '0001-01-01 00:00:00+00'")
    return func.concat(written, case((ancient, " BC"), else_=""))
