"""The record of who changed what can only grow."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from service.store.errors import StoreUnavailable
from service.store.review import ReviewStore


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
