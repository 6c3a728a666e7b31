"""Somebody who owns the database tampers with the audit, and is named with kind and place."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from service.store.anchors import Anchor
from service.store.audit import Audit
from service.store.opening import open_store
from service.store.sqlite import SqliteDatabase
from service.store.verify import Verification
from tests.service.store.attacks import ATTACKS, Attacker, anchors_of, drop_triggers, grow

ENTRIES = 40
SEEDS_SQLITE, SEEDS_POSTGRES = 150, 12
NEEDS_ANCHORS = ("truncate", "rewrite")
"""Attacks by somebody who can also make the hashes; only an anchor of the end tells."""


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain in a file, its triggers dropped, and nobody has written to it yet."""
    path = tmp_path_factory.mktemp("chain") / "untouched.db"
    with open_store(f"sqlite:///{path}") as store:
        grow(store._database, ENTRIES, seed=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        drop_triggers(connection)
    return path


@contextmanager
def opened(path: Path) -> Iterator[Audit]:
    database = SqliteDatabase(path, timeout_seconds=30)
    yield Audit(database)
    database.close()


def kept_anchors(eve: Attacker, attack: str) -> tuple[Anchor, ...]:
    """Some moments of the chain, by lot; its end among them where nothing else would tell."""
    lengths = set(eve.lot.sample(range(eve.length), eve.lot.choice((0, 1, 5))))
    if attack in NEEDS_ANCHORS or eve.lot.random() < 0.3:
        lengths.add(eve.length)
    return anchors_of(eve, sorted(lengths))


def told(found: Verification) -> list[str]:
    return [str(finding) for finding in found.findings]


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_tampering_is_named_with_its_kind_and_place(
    untouched: Path, tmp_path: Path, attack: str
) -> None:
    """150 of each of 7 kinds on SQLite. One that passed would make the whole record worthless."""
    for seed in range(SEEDS_SQLITE):
        path = tmp_path / f"{seed}.db"
        shutil.copy(untouched, path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            eve = Attacker(connection, seed)
            anchors = kept_anchors(eve, attack)
            traces = ATTACKS[attack](eve)
            connection.commit()

        with opened(path) as audit:
            found = audit.verify(anchors)

        assert [traces.are(finding) for finding in found.findings] == [True], (
            f"seed {seed}: {traces}, but found {told(found)}"
        )


def test_every_tampering_is_named_on_postgres_too(postgres_url: str) -> None:
    with open_store(postgres_url) as store, psycopg.connect(postgres_url) as connection:
        grow(store._database, ENTRIES, seed=2)
        drop_triggers(connection)
        connection.execute("CREATE TABLE kept AS SELECT * FROM audit")
        connection.execute("CREATE TABLE kept_head AS SELECT * FROM audit_head")
        connection.commit()
        for attack in ATTACKS:
            for seed in range(SEEDS_POSTGRES):
                eve = Attacker(connection, seed)
                anchors = kept_anchors(eve, attack)
                traces = ATTACKS[attack](eve)
                connection.commit()

                found = store.audit.verify(anchors)

                assert [traces.are(finding) for finding in found.findings] == [True], (
                    f"{attack}, seed {seed}: {traces}, but found {told(found)}"
                )
                for table, kept in (("audit", "kept"), ("audit_head", "kept_head")):
                    connection.execute(f"TRUNCATE {table}")
                    connection.execute(f"INSERT INTO {table} SELECT * FROM {kept}")
                connection.commit()


@pytest.mark.parametrize("seed", range(20))
def test_an_untouched_chain_is_never_accused(migrated: Path, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "chain.db"
    shutil.copy(migrated, path)
    with opened(path) as audit, closing(sqlite3.connect(path)) as connection:
        grow(audit._database, 3 * seed, seed)
        eve = Attacker(connection, seed)

        found = audit.verify(anchors_of(eve, range(0, eve.length + 1, 2)))

    assert told(found) == []
    assert (found.entries, found.head) == (eve.length, eve.head)
    assert found.anchored is not None
    assert found.anchored.length == eve.length // 2 * 2


def test_what_the_attacks_put_back_is_whole_again(untouched: Path, tmp_path: Path) -> None:
    """The attacks' own reckoning of links is the chain's: else they would prove nothing."""
    path = tmp_path / "again.db"
    shutil.copy(untouched, path)
    with closing(sqlite3.connect(path)) as connection:
        eve = Attacker(connection, 0)
        for number in range(1, eve.length + 1):
            right = eve.link_of(number, eve.hash_of(number - 1))
            eve.rows("UPDATE audit SET hash = ? WHERE id = ?", right, number)
        connection.commit()

    with opened(path) as audit:
        assert audit.verify().whole
