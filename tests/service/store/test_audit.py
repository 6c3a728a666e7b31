"""The record of who changed what can only grow, by one line after another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import Connection, text

from service.store.audit import add_entry
from service.store.errors import DamagedRow, StoreUnavailable
from service.store.opening import open_store
from service.store.review import ReviewStore


def add(connection: Connection, actor: str) -> None:
    add_entry(
        connection, actor=actor, action="test", subject="x", before=None, after=None, reason=""
    )


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_a_line(store: ReviewStore, change: str) -> None:
    store.deployments.promote("champion", "petty@1", by="ada", reason="first")

    with pytest.raises(StoreUnavailable), store._database.writing() as connection:
        connection.execute(text(change))

    assert [line.actor for line in store.audit.latest()] == ["ada"]


def test_the_newest_lines_come_first(store: ReviewStore) -> None:
    for version in range(3):
        store.deployments.promote("champion", f"petty@{version}", by="ada", reason="")

    assert [line.after for line in store.audit.latest(limit=2)] == ["petty@2", "petty@1"]
    assert [line.shown("after") for line in store.audit.lines(limit=2)] == ["petty@2", "petty@1"]


def test_a_change_that_fails_leaves_no_number_missing(store: ReviewStore) -> None:
    """A gap is evidence of a deletion, so it must never have another cause."""
    with store._database.writing() as connection:
        add(connection, "ada")
    with suppress(ZeroDivisionError), store._database.writing() as connection:
        add(connection, "eve")
        raise ZeroDivisionError
    with store._database.writing() as connection:
        add(connection, "bob")

    assert [(line.id, line.actor) for line in store.audit.latest()] == [(2, "bob"), (1, "ada")]
    assert store.audit.verify().whole


def test_several_lines_of_one_transaction_follow_each_other(store: ReviewStore) -> None:
    with store._database.writing() as connection:
        for actor in ("ada", "bob", "eve"):
            add(connection, actor)

    assert store.audit.verify().entries == 3
    assert store.audit.verify().whole


def test_gateways_on_one_database_write_one_chain(database_url: str) -> None:
    """Two lines after the same line would be a fork, and one of them would look inserted."""
    each = 40

    def work(name: str) -> None:
        with open_store(database_url, timeout_seconds=30) as store:
            for _ in range(each):
                with store._database.writing() as connection:
                    add(connection, name)

    open_store(database_url).close()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))

    with open_store(database_url) as store:
        found = store.audit.verify()
        assert (found.entries, found.findings) == (4 * each, ())
        actors = [line.actor for line in store.audit.latest(limit=500)]
    assert {name: actors.count(name) for name in "abcd"} == dict.fromkeys("abcd", each)


def test_without_a_head_nothing_is_changed_that_belongs_on_record(store: ReviewStore) -> None:
    """A change that goes through unrecorded is worse than one that is refused."""
    with store._database.writing() as connection:
        connection.execute(text("DELETE FROM audit_head"))

    with pytest.raises(DamagedRow, match="head of the audit"):
        store.deployments.promote("champion", "petty@1", by="eve", reason="")

    assert store.deployments.deployed("champion") is None
    with pytest.raises(DamagedRow, match="head of the audit"):
        store.audit.head()


def test_a_head_that_was_set_back_lets_nothing_be_overwritten(store: ReviewStore) -> None:
    store.deployments.promote("champion", "petty@1", by="ada", reason="")
    with store._database.writing() as connection:
        connection.execute(text("UPDATE audit_head SET length = 0"))

    with pytest.raises(StoreUnavailable):
        store.deployments.promote("champion", "petty@2", by="eve", reason="")

    assert [line.actor for line in store.audit.latest()] == ["ada"]
