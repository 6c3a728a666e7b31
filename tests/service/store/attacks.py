"""What somebody who owns the database can do to the audit, in straight SQL, triggers dropped."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from service.store.anchors import Anchor
from service.store.audit import add_entry
from service.store.chain import COLUMNS, GENESIS, link, moment_as_stored
from service.store.database import Database
from service.store.findings import Finding, Kind

TEXTS = ("", "ada", "petty@3", "Grüße", "\x00", "\ud800 lone", "a\x1ab", "line\nbreak", "🙂")


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What a verification has to find after an attack."""

    kind: Kind
    """What was done."""
    numbers: tuple[int, int]
    """Where, as the attacker knows it."""
    exact: bool = True
    """Whether what is left in the table tells the place exactly."""

    def are(self, finding: Finding) -> bool:
        """Whether a finding names this attack, alone or as one of two that leave the same rows."""
        kinds = {finding.kind, finding.perhaps}
        if finding.kind is Kind.DUPLICATED:
            kinds.add(Kind.INSERTED)
        if self.kind not in kinds:
            return False
        if self.exact:
            return finding.numbers == self.numbers
        first, last = self.numbers
        return finding.numbers[0] <= first and last <= finding.numbers[1]


class Attacker:
    """Executes SQL on a database whose triggers are gone, and draws what to do by lot."""

    def __init__(self, connection: sqlite3.Connection | psycopg.Connection, seed: int) -> None:
        self._connection = connection
        self._on_sqlite = isinstance(connection, sqlite3.Connection)
        self.lot = random.Random(seed)
        self.length, self.head = self.rows("SELECT length, hash FROM audit_head")[0]

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Run a statement with `?` for values."""
        if self._on_sqlite:
            return list(self._connection.execute(statement, values))
        cursor = self._connection.execute(statement.replace("?", "%s"), values)
        return list(cursor) if cursor.description else []

    def some(self) -> int:
        """Any line."""
        return self.lot.randint(1, self.length)

    def moment(self) -> object:
        """Another moment, as the database takes it."""
        at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=self.lot.randrange(10**6))
        return moment_as_stored(at).decode() if self._on_sqlite else at

    def noise(self) -> str:
        """What might pass for a link."""
        return f"{self.lot.getrandbits(256):064x}"

    def hash_of(self, number: int) -> str:
        """The link of a line."""
        found = self.rows("SELECT hash FROM audit WHERE id = ?", number)
        return str(found[0][0]) if found else GENESIS

    def link_of(self, number: int, previous: str) -> str:
        """The right link for what stands in a line."""
        names = ", ".join(COLUMNS)
        at, *texts = self.rows(f"SELECT {names} FROM audit WHERE id = ?", number)[0]
        moment = at.encode() if isinstance(at, str) else moment_as_stored(at)
        stored = (None if text is None else text.encode() for text in texts)
        return link(previous, number, [moment, *stored])

    def change_words(self, number: int) -> None:
        """Let a line say something else."""
        name = self.lot.choice(COLUMNS)
        (old,) = self.rows(f"SELECT {name} FROM audit WHERE id = ?", number)[0]
        new: object = self.moment() if name == "at" else f"{old or ''}!"
        if name in ("before", "after") and not old:
            new = "" if old is None else None
        self.rows(f"UPDATE audit SET {name} = ? WHERE id = ?", new, number)

    def renumber(self, first: int, by: int) -> None:
        """Give all lines from one on other numbers."""
        self.rows("UPDATE audit SET id = -(id + ?) WHERE id >= ?", by, first)
        self.rows("UPDATE audit SET id = -id WHERE id < 0")

    def put(self, number: int, hashed: str, original: int | None = None) -> None:
        """Insert a line of one's own, or a copy."""
        names = ", ".join(COLUMNS)
        values: Sequence[object] = (self.moment(), "eve", "key.create", "eve", None, "", "why not")
        if original is not None:
            values = self.rows(f"SELECT {names} FROM audit WHERE id = ?", original)[0]
        marks = ", ".join("?" * (2 + len(COLUMNS)))
        self.rows(
            f"INSERT INTO audit (id, hash, {names}) VALUES ({marks})", number, hashed, *values
        )

    def set_head(self, length: int, hashed: str) -> None:
        """Let the head say where the chain ends."""
        self.rows("UPDATE audit_head SET length = ?, hash = ?", length, hashed)


def drop_triggers(connection: sqlite3.Connection | psycopg.Connection) -> None:
    """As whoever owns the database can."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("DROP TRIGGER audit_no_delete")
    else:
        connection.execute("DROP TRIGGER audit_no_change ON audit")


def edit(eve: Attacker) -> Traces:
    """Change what a line says, its hash, or both."""
    number = eve.some()
    match eve.lot.choice(("words", "hash", "both", "rehashed")):
        case "words":
            eve.change_words(number)
            return Traces(kind=Kind.EDITED, numbers=(number, number), exact=False)
        case "hash":
            eve.rows("UPDATE audit SET hash = ? WHERE id = ?", eve.noise(), number)
        case "both":
            eve.change_words(number)
            eve.rows("UPDATE audit SET hash = ? WHERE id = ?", eve.noise(), number)
        case "rehashed":
            eve.change_words(number)
            right = eve.link_of(number, eve.hash_of(number - 1))
            eve.rows("UPDATE audit SET hash = ? WHERE id = ?", right, number)
    return Traces(kind=Kind.EDITED, numbers=(number, number), exact=False)


def insert(eve: Attacker) -> Traces:
    """Put a line in: in the middle, at the end, far behind it, or before the first."""
    number = eve.some()
    match eve.lot.choice(("noise", "right", "copy", "end", "end right", "far", "before")):
        case "noise":
            eve.renumber(number, 1)
            eve.put(number, eve.noise())
        case "right":
            eve.renumber(number, 1)
            eve.put(number, eve.noise())
            right = eve.link_of(number, eve.hash_of(number - 1))
            eve.rows("UPDATE audit SET hash = ? WHERE id = ?", right, number)
        case "copy":
            original = eve.lot.choice([n for n in range(1, eve.length + 1) if n != number - 1])
            hashed = eve.hash_of(original)
            eve.renumber(number, 1)
            eve.put(number, hashed, original + (original >= number))
        case "end":
            number = eve.length + 1
            eve.put(number, eve.noise())
        case "end right":
            number = eve.length + 1
            eve.put(number, eve.noise())
            right = eve.link_of(number, eve.head)
            eve.rows("UPDATE audit SET hash = ? WHERE id = ?", right, number)
        case "far":
            number = eve.length + eve.lot.randint(2, 1000)
            eve.put(number, eve.noise())
        case "before":
            number = -eve.lot.randrange(10)
            eve.put(number, eve.noise())
    return Traces(kind=Kind.INSERTED, numbers=(number, number))


def delete(eve: Attacker) -> Traces:
    """Take lines out before the last, and leave the gap, or close it, or close it at the head."""
    how = eve.lot.choice(("gap", "closed", "closed at the head"))
    behind = 2 if how == "closed at the head" else 1
    first = eve.lot.randint(1, eve.length - behind)
    last = min(first + eve.lot.choice((0, 0, 1, 4)), eve.length - behind)
    eve.rows("DELETE FROM audit WHERE id BETWEEN ? AND ?", first, last)
    if how != "gap":
        eve.renumber(last + 1, first - last - 1)
    if how == "closed at the head":
        eve.set_head(eve.length - (last - first + 1), eve.head)
    return Traces(kind=Kind.DELETED, numbers=(first, last))


def swap(eve: Attacker) -> Traces:
    """Let two lines change places, or only their words, or only their hashes."""
    one, two = sorted(eve.lot.sample(range(1, eve.length + 1), 2))
    parts = eve.lot.choice(((*COLUMNS, "hash"), COLUMNS, ("hash",)))
    names, marks = ", ".join(parts), ", ".join(f"{name} = ?" for name in parts)
    (a,), (b,) = (eve.rows(f"SELECT {names} FROM audit WHERE id = ?", n) for n in (one, two))
    eve.rows(f"UPDATE audit SET {marks} WHERE id = ?", *b, one)
    eve.rows(f"UPDATE audit SET {marks} WHERE id = ?", *a, two)
    return Traces(kind=Kind.SWAPPED, numbers=(one, two))


def truncate(eve: Attacker) -> Traces:
    """Cut the end off, and perhaps set the head back to fit."""
    last = eve.length - eve.lot.choice((1, 1, 3, eve.length, eve.lot.randint(1, eve.length)))
    eve.rows("DELETE FROM audit WHERE id > ?", last)
    if eve.lot.random() < 0.5:
        eve.set_head(last, eve.hash_of(last))
    return Traces(kind=Kind.TRUNCATED, numbers=(last + 1, eve.length))


def rewrite(eve: Attacker) -> Traces:
    """Change a line and make every hash from there on anew, the head's too; perhaps go on."""
    number = eve.some()
    eve.change_words(number)
    last = eve.length + eve.lot.choice((0, 0, 1, 5))
    for added in range(eve.length + 1, last + 1):
        eve.put(added, eve.noise())
    previous = eve.hash_of(number - 1)
    for following in range(number, last + 1):
        previous = eve.link_of(following, previous)
        eve.rows("UPDATE audit SET hash = ? WHERE id = ?", previous, following)
    eve.set_head(last, previous)
    return Traces(kind=Kind.REWRITTEN, numbers=(number, number), exact=False)


def replace_head(eve: Attacker) -> Traces:
    """Let the head say something else, or nothing."""
    shorter, longer = eve.lot.randrange(eve.length), eve.length + eve.lot.randint(1, 99)
    last = eve.length
    match eve.lot.choice(("hash", "old", "shorter", "shorter noise", "longer", "noise", "gone")):
        case "hash":
            eve.set_head(last, eve.noise())
        case "old":
            eve.set_head(shorter, eve.hash_of(shorter))
            return Traces(kind=Kind.HEAD, numbers=(shorter + 1, last))
        case "shorter":
            eve.set_head(shorter, eve.head)
        case "shorter noise":
            eve.set_head(shorter, eve.noise())
            return Traces(kind=Kind.HEAD, numbers=(shorter + 1, last))
        case "longer":
            eve.set_head(longer, eve.head)
        case "noise":
            eve.set_head(longer, eve.noise())
            return Traces(kind=Kind.HEAD, numbers=(last + 1, longer))
        case "gone":
            eve.rows("DELETE FROM audit_head")
    return Traces(kind=Kind.HEAD, numbers=(last, last))


ATTACKS: dict[str, Callable[[Attacker], Traces]] = {
    "edit": edit,
    "insert": insert,
    "delete": delete,
    "swap": swap,
    "truncate": truncate,
    "rewrite": rewrite,
    "replace_head": replace_head,
}


def grow(database: Database, entries: int, seed: int) -> None:
    """Add lines in the proper way."""
    lot = random.Random(seed)
    with database.writing() as connection:
        for number in range(entries):
            before, after = (lot.choice((None, *TEXTS)) for _ in range(2))
            add_entry(
                connection,
                actor=lot.choice(TEXTS),
                action=lot.choice(("key.create", "key.revoke")),
                subject=f"subject {number}",
                before=before,
                after=after,
                reason=lot.choice(TEXTS),
            )


def anchors_of(eve: Attacker, lengths: Sequence[int]) -> tuple[Anchor, ...]:
    """Anchors as they were kept when the chain had these lengths."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return tuple(Anchor(at=at, length=n, hash=eve.hash_of(n)) for n in lengths)
