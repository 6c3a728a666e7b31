"""A link is a function of the whole line, and of nothing else."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.audit import add_entry
from service.store.chain import COLUMNS, GENESIS, link, moment_as_stored, text_as_stored
from service.store.lines import lines_after
from service.store.review import ReviewStore
from service.store.tables import audit

ANY_TEXT = st.text(st.characters(exclude_categories=()))
COLUMN = st.none() | ANY_TEXT.map(text_as_stored)
LINE = st.tuples(
    st.sampled_from((GENESIS, "f" * 64)),
    st.integers(1, 30),
    st.lists(COLUMN, min_size=2, max_size=2),
)


def test_a_link_is_what_it_was_when_the_first_chains_were_written() -> None:
    """Another encoding would accuse every chain that there is."""
    columns = [moment_as_stored(datetime(2026, 11, 27, 12, 0, 0, 5, UTC)), b"ada", b"", None]

    found = link(GENESIS, 12, columns)

    written = b"+18:probewatch audit 1" + b"+64:" + b"0" * 64 + b"+2:12"
    written += b"+26:2026-11-27 12:00:00.000005" + b"+3:ada" + b"+0:" + b"-"
    assert found == hashlib.sha256(written).hexdigest()
    assert COLUMNS == ("at", "actor", "action", "subject", "before", "after", "reason")


@given(one=LINE, two=LINE)
def test_two_lines_have_one_link_only_if_they_are_the_same(
    one: tuple[str, int, list[bytes | None]], two: tuple[str, int, list[bytes | None]]
) -> None:
    assert (link(*one) == link(*two)) == (one == two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((None, b"x"), (b"", b"x")),
        ((b"ab", b"c"), (b"a", b"bc")),
        ((b"-",), (None,)),
        ((b"+1:a", b""), (b"+1:a+0:",)),
        ((text_as_stored("\x00"),), (text_as_stored("\x1a0000"),)),
        ((text_as_stored("\ud83d\ude00"),), (text_as_stored("\U0001f600"),)),
    ],
)
def test_what_looks_alike_has_different_links(
    one: tuple[bytes | None, ...], two: tuple[bytes | None, ...]
) -> None:
    assert link(GENESIS, 1, one) != link(GENESIS, 1, two)


def test_a_moment_is_the_same_in_every_time_zone() -> None:
    utc = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)

    elsewhere = utc.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert moment_as_stored(elsewhere) == moment_as_stored(utc) == b"2026-11-27 23:30:00.000000"


def test_what_is_read_back_is_what_was_hashed(store: ReviewStore) -> None:
    """On either database, whatever the texts are: the link must not depend on where it is kept."""
    texts = {
        "actor": "\x00\x1a\ud800\udfff 🙂",
        "action": "",
        "subject": "'; DROP TABLE audit --",
        "before": None,
        "after": "",
        "reason": "\r\n\t\\x00 %s ? :p",
    }
    with store._database.writing() as connection:
        add_entry(connection, **texts)

    with store._database.reading() as connection:
        (line,) = lines_after(connection, None)
    (entry,) = store.audit.latest()

    assert line.follows(GENESIS, 1)
    assert line.columns == (moment_as_stored(entry.at), *map(text_as_stored, texts.values()))
    assert {name: getattr(entry, name) for name in texts} == texts
    assert {name: line.shown(name) for name in texts} == texts
    assert entry.hash == line.hash


def test_every_column_of_the_table_is_hashed() -> None:
    """A column that a later version adds and forgets could be edited at will."""
    assert {"id", *COLUMNS, "hash"} == set(audit.c.keys())
