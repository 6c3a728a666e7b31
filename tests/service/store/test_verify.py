"""What verification says of single cases, beyond those that attackers draw by lot."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from service.store import lines, verify, walk
from service.store.anchors import Anchor
from service.store.chain import COLUMNS, GENESIS
from service.store.findings import Kind
from service.store.opening import open_store
from service.store.review import ReviewStore
from service.store.verify import Verification
from tests.service.store.attacks import Attacker, anchors_of, drop_triggers, grow

ENTRIES = 30
Told = list[tuple[Kind, tuple[int, int]]]


@pytest.fixture
def eve(sqlite_store: ReviewStore, sqlite_path: Path) -> Iterator[Attacker]:
    """Somebody with the database's file, beside a chain of 30 lines."""
    grow(sqlite_store._database, ENTRIES, seed=3)
    with closing(sqlite3.connect(sqlite_path, isolation_level=None)) as connection:
        drop_triggers(connection)
        yield Attacker(connection, 0)


def kinds(found: Verification) -> Told:
    return [(finding.kind, finding.numbers) for finding in found.findings]


def move(eve: Attacker, number: int, to: int) -> None:
    """Let a line stand in another place, and those between make room."""
    eve.rows("UPDATE audit SET id = -1 WHERE id = ?", number)
    step = -1 if to > number else 1
    between = (number + 1, to) if to > number else (to, number - 1)
    eve.rows("UPDATE audit SET id = id + 1000000 WHERE id BETWEEN ? AND ?", *between)
    eve.rows("UPDATE audit SET id = id - 1000000 + ? WHERE id > 1000000", step)
    eve.rows("UPDATE audit SET id = ? WHERE id = -1", to)


@pytest.mark.parametrize(("number", "to"), [(5, 20), (20, 5), (1, 30), (30, 1), (29, 12), (12, 29)])
def test_a_line_that_was_moved_is_reordered(
    sqlite_store: ReviewStore, eve: Attacker, number: int, to: int
) -> None:
    move(eve, number, to)

    place = (min(number, to), max(number, to))
    assert kinds(sqlite_store.audit.verify()) == [(Kind.REORDERED, place)]


def test_a_copy_is_told_with_its_original(sqlite_store: ReviewStore, eve: Attacker) -> None:
    eve.renumber(20, 1)
    eve.put(20, eve.hash_of(4), original=4)

    (finding,) = sqlite_store.audit.verify().findings

    assert str(finding) == "duplicated: entry 20 is a copy of what stands at 4"


@pytest.mark.parametrize("many", [2, 100])
def test_many_lines_put_in_at_one_place_are_one_insertion(
    sqlite_store: ReviewStore, eve: Attacker, many: int
) -> None:
    eve.renumber(11, many)
    for number in range(11, 11 + many):
        eve.put(number, eve.noise())

    found = sqlite_store.audit.verify(anchors_of(eve, ()))

    assert kinds(found) == [(Kind.INSERTED, (11, 10 + many))]


def test_many_lines_put_in_with_right_hashes_are_one_insertion(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    """More than are looked for where one line breaks alone."""
    many, previous = walk._NEAR_LINES + 10, eve.hash_of(10)
    eve.renumber(11, many)
    for number in range(11, 11 + many):
        eve.put(number, "")
        previous = eve.link_of(number, previous)
        eve.rows("UPDATE audit SET hash = ? WHERE id = ?", previous, number)

    assert kinds(sqlite_store.audit.verify()) == [(Kind.INSERTED, (11, 10 + many))]


@pytest.mark.parametrize("by", [500, 10**9])
def test_lines_that_were_given_higher_numbers_are_not_taken_for_a_deletion(
    sqlite_store: ReviewStore, eve: Attacker, by: int
) -> None:
    eve.renumber(11, by)

    assert kinds(sqlite_store.audit.verify()) == [(Kind.REORDERED, (11 + by, 11 + by))]


def test_several_attacks_at_once_are_all_named(sqlite_store: ReviewStore, eve: Attacker) -> None:
    eve.change_words(3)
    eve.rows("DELETE FROM audit WHERE id IN (10, 11)")
    for name in ("actor", "at", "action", "subject", "before", "after", "reason"):
        eve.rows(f"UPDATE audit SET {name} = (SELECT {name} FROM audit WHERE id = 15) "
                 "WHERE id = 18")  # fmt: skip
    eve.rows("DELETE FROM audit WHERE id > 27")

    assert kinds(sqlite_store.audit.verify()) == [
        (Kind.EDITED, (2, 3)),
        (Kind.DELETED, (10, 11)),
        (Kind.EDITED, (17, 18)),
        (Kind.TRUNCATED, (28, 30)),
    ]


@pytest.mark.parametrize("name", ["at", "actor", "before", "hash"])
@pytest.mark.parametrize(
    "value", ["x'ff'", "CAST(x'ff' AS TEXT)", "5", "'\x1azz'", "CAST({0} AS BLOB)"]
)
def test_a_column_that_cannot_be_read_is_an_edit_and_no_crash(
    sqlite_store: ReviewStore, eve: Attacker, name: str, value: str
) -> None:
    """Whoever can make the verifier fall over need not hide what they did."""
    eve.rows("UPDATE audit SET before = 'something' WHERE id = 7")
    previous = eve.hash_of(6)
    for number in range(7, ENTRIES + 1):
        previous = eve.link_of(number, previous)
        eve.rows("UPDATE audit SET hash = ? WHERE id = ?", previous, number)
    eve.set_head(ENTRIES, previous)
    assert sqlite_store.audit.verify().whole

    eve.rows(f"UPDATE audit SET {name} = {value.format(name)} WHERE id = 7")
    found = sqlite_store.audit.verify()

    assert [finding.kind for finding in found.findings] == [Kind.EDITED]
    assert found.findings[0].concerns(7)
    shown = [line.shown(column) for line in sqlite_store.audit.lines() for column in COLUMNS]
    assert len(shown) == ENTRIES * len(COLUMNS)


def test_the_same_day_before_christ_is_another_moment(postgres_url: str) -> None:
    """PostgreSQL writes both years alike unless it is asked."""
    with open_store(postgres_url) as store, psycopg.connect(postgres_url) as connection:
        grow(store._database, 3, seed=1)
        drop_triggers(connection)
        year = "(to_char(at, 'YYYY-MM-DD HH24:MI:SS.USOF') || ' BC')::timestamptz"
        connection.execute(f"UPDATE audit SET at = {year} WHERE id = 2")
        connection.commit()

        assert kinds(store.audit.verify()) == [(Kind.EDITED, (1, 2))]


def test_an_anchor_tells_an_edit_from_one_with_its_hash(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    """Without it both leave the same rows behind, and both are named."""
    before = anchors_of(eve, [9])
    eve.change_words(10)

    unanchored, anchored = sqlite_store.audit.verify(), sqlite_store.audit.verify(before)

    assert kinds(unanchored) == [(Kind.EDITED, (9, 10))]
    assert "or entry 9 was changed together with its hash" in unanchored.findings[0].told
    assert kinds(anchored) == [(Kind.EDITED, (10, 10))]


def test_an_anchor_tells_an_edit_with_its_hash_from_one_of_the_next_line(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    before = anchors_of(eve, [9])
    eve.change_words(9)
    eve.rows("UPDATE audit SET hash = ? WHERE id = 9", eve.link_of(9, eve.hash_of(8)))

    assert kinds(sqlite_store.audit.verify()) == [(Kind.EDITED, (9, 10))]
    assert kinds(sqlite_store.audit.verify(before)) == [(Kind.EDITED, (9, 9))]


def test_a_hash_that_was_changed_alone_is_told_as_such(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    eve.rows("UPDATE audit SET hash = ? WHERE id = 7", eve.noise())

    (finding,) = sqlite_store.audit.verify().findings

    assert str(finding) == "edited: entry 7 has another hash than it was added with"


def test_a_line_that_took_the_place_of_another_is_no_exchange(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    """Each of two that were swapped is still there; here one is gone for good."""
    eve.rows("DELETE FROM audit WHERE id = 20")
    eve.put(20, eve.hash_of(5), original=5)
    eve.change_words(5)
    eve.rows("UPDATE audit SET hash = ? WHERE id = 5", eve.noise())

    assert {finding.kind for finding in sqlite_store.audit.verify().findings} == {Kind.EDITED}


def test_a_deletion_before_the_last_line_is_told_by_the_head(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    """No line behind it is left that would show its number."""
    eve.rows("DELETE FROM audit WHERE id IN (28, 29)")
    eve.renumber(30, -2)

    assert kinds(sqlite_store.audit.verify()) == [(Kind.DELETED, (28, 29))]


def test_an_anchor_does_not_accuse_the_chain_of_what_was_inserted(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    before, previous = anchors_of(eve, [12]), eve.hash_of(10)
    eve.renumber(11, 5)
    for number in range(11, 16):
        eve.put(number, "")
        previous = eve.link_of(number, previous)
        eve.rows("UPDATE audit SET hash = ? WHERE id = ?", previous, number)

    assert kinds(sqlite_store.audit.verify(before)) == [(Kind.INSERTED, (11, 15))]


def test_an_anchor_shows_whether_the_last_line_or_the_head_is_wrong(
    sqlite_store: ReviewStore, eve: Attacker
) -> None:
    kept = anchors_of(eve, [ENTRIES])
    eve.set_head(ENTRIES, eve.noise())
    assert sqlite_store.audit.verify().findings[0].perhaps is Kind.EDITED
    (head,) = sqlite_store.audit.verify(kept).findings
    assert (head.kind, head.perhaps) == (Kind.HEAD, None)

    eve.set_head(ENTRIES, eve.head)
    eve.change_words(ENTRIES)
    right = eve.link_of(ENTRIES, eve.hash_of(ENTRIES - 1))
    eve.rows("UPDATE audit SET hash = ? WHERE id = ?", right, ENTRIES)

    assert sqlite_store.audit.verify().findings[0].perhaps is Kind.EDITED
    assert kinds(sqlite_store.audit.verify(kept)) == [(Kind.EDITED, (ENTRIES, ENTRIES))]


def test_anchors_of_another_chain_are_not_taken_for_agreement(sqlite_store: ReviewStore) -> None:
    grow(sqlite_store._database, 5, seed=1)
    strange = Anchor(at=datetime(2026, 1, 1, tzinfo=UTC), length=3, hash="ab" * 32)

    found = sqlite_store.audit.verify((strange,))

    assert kinds(found) == [(Kind.REWRITTEN, (1, 3))]
    assert "another database" in found.findings[0].told


def test_a_chain_that_was_replaced_by_an_empty_one_is_truncated(
    sqlite_store: ReviewStore,
) -> None:
    kept = Anchor(at=datetime(2026, 1, 1, tzinfo=UTC), length=3, hash="ab" * 32)

    assert kinds(sqlite_store.audit.verify((kept,))) == [(Kind.TRUNCATED, (1, 3))]


def test_an_empty_chain_is_whole(store: ReviewStore) -> None:
    found = store.audit.verify((store.audit.head(),))

    assert (found.entries, found.head, found.whole) == (0, GENESIS, True)


def test_what_is_edited_everywhere_is_counted_beyond_what_is_kept(
    sqlite_store: ReviewStore, eve: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million edited lines must fit in memory as well as a million whole ones."""
    monkeypatch.setattr(walk, "BREAKS_MAX", 4)
    eve.rows("UPDATE audit SET reason = reason || '!' WHERE id % 3 = 0")

    *_, last = sqlite_store.audit.verify().findings

    assert str(last) == (
        "edited: 6 more entries after entry 12 do not say what they were added with"
    )


def test_what_is_spent_on_looking_for_places_is_limited(
    sqlite_store: ReviewStore, eve: Attacker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise on every line would otherwise keep the verifier busy for days."""
    monkeypatch.setattr(walk, "_TRIES_MAX", 10)
    follows, asked = lines.Line.follows, []

    def counted(line: lines.Line, previous: str, number: int) -> bool:
        asked.append(number)
        return follows(line, previous, number)

    monkeypatch.setattr(lines.Line, "follows", counted)
    eve.rows("UPDATE audit SET hash = hash || '!'")

    assert not sqlite_store.audit.verify().whole
    assert len(asked) <= 3 * ENTRIES + 10


def test_pages_of_lines_join_without_a_seam(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_PAGE_LINES", 4)
    grow(store._database, 12, seed=1)

    found = store.audit.verify()

    assert (found.entries, found.whole) == (12, True)


@pytest.mark.parametrize("when", ["behind a page", "before the head is read", "behind the head"])
def test_lines_that_join_meanwhile_are_no_tampering(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The service goes on while somebody verifies."""
    grow(store._database, 5, seed=1)
    read_lines, read_head = lines.lines_after, lines.head_row
    joined: list[int] = []

    def join(read: Callable[..., object]) -> Callable[..., object]:
        def reading(*facts: object) -> object:
            found = None if when.startswith("before") else read(*facts)
            if len(joined) < 6:
                joined.append(1)
                grow(store._database, 1, seed=2)
            return read(*facts) if found is None else found

        return reading

    if when == "behind a page":
        monkeypatch.setattr(verify, "lines_after", join(read_lines))
    else:
        monkeypatch.setattr(verify, "head_row", join(read_head))

    found = store.audit.verify()

    assert (found.findings, joined != []) == ((), True)


def test_progress_is_told_on_long_chains(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_TOLD_EVERY_LINES", 4)
    grow(store._database, 12, seed=1)
    told: list[tuple[int, int]] = []

    store.audit.verify(progress=lambda done, of: told.append((done, of)))

    assert told == [(4, 12), (8, 12)]
