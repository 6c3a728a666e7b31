"""Failures to log in are counted where all gateways see them, and before they are known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from service.people.attempts import ADDRESS_FREE, FORGET_SECONDS, NAME_FREE
from service.store.logins import Logins
from service.store.opening import open_store
from service.store.review import ReviewStore
from service.store.tables import login_failures
from tests.service.store.desk import Clock
from tests.service.store.house import HOME, KEPT, joined, logged_in, recorded


def tried(store: ReviewStore, name: str, times: int, address: str = HOME) -> list[float]:
    return [store.logins.begin(name, address) for _ in range(times)]


def test_a_name_waits_after_five_failures_wherever_they_come_from(
    desk: ReviewStore, clock: Clock
) -> None:
    waits = [desk.logins.begin("anna", f"192.0.2.{number}") for number in range(NAME_FREE + 1)]

    assert waits == [0] * NAME_FREE + [1.0]
    clock.forward(1)
    assert tried(desk, "anna", 2) == [0, 2.0]


def test_waiting_is_not_counted_as_another_failure(desk: ReviewStore, clock: Clock) -> None:
    """Whoever reloads the page would be kept out for longer and longer."""
    tried(desk, "anna", NAME_FREE + 50)
    clock.forward(1)

    assert tried(desk, "anna", 2) == [0, 2.0]


def test_an_address_waits_after_twenty_failures_whatever_the_names(
    desk: ReviewStore, clock: Clock
) -> None:
    waits = [desk.logins.begin(f"name{number}", HOME) for number in range(ADDRESS_FREE + 1)]

    assert waits == [0] * ADDRESS_FREE + [1.0]
    assert desk.logins.begin("other", "198.51.100.7") == 0


def test_two_gateways_count_together(store: ReviewStore, database_url: str) -> None:
    with open_store(database_url, timeout_seconds=20) as other:
        waits = [
            gateway.logins.begin("anna", HOME)
            for _ in range(NAME_FREE)
            for gateway in (store, other)
        ]

    assert waits[:NAME_FREE] == [0] * NAME_FREE
    assert waits[NAME_FREE] > 0


def test_attempts_that_are_made_at_once_do_not_run_ahead_of_the_count(
    store: ReviewStore,
) -> None:
    """Else a thousand guesses sent together would be one guess."""
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: store.logins.begin("anna", HOME), range(40)))

    assert waits.count(0) == NAME_FREE


def test_a_login_lets_the_name_begin_again_and_the_address_not(
    desk: ReviewStore, clock: Clock
) -> None:
    """An attacker with one password of their own could log in between guesses at others'."""
    joined(desk)
    for number in range(ADDRESS_FREE - 1):
        desk.logins.begin(f"name{number}", HOME)
    desk.logins.begin("anna", HOME)
    logged_in(desk)

    assert tried(desk, "bert", 2) == [0, 1.0]
    clock.forward(1)
    elsewhere = "198.51.100.7"
    assert tried(desk, "anna", NAME_FREE + 1, elsewhere) == [0] * NAME_FREE + [1.0]


@pytest.mark.parametrize("deleted", [True, False])
def test_a_day_without_a_failure_is_forgotten(
    desk: ReviewStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    """Also where there were too many counts to delete them all."""
    if not deleted:
        monkeypatch.setattr(Logins, "_forget_old", lambda *_: None)
    tried(desk, "anna", NAME_FREE)
    clock.forward(FORGET_SECONDS)

    assert tried(desk, "anna", NAME_FREE + 1) == [0] * NAME_FREE + [1.0]


def test_counts_that_no_longer_matter_do_not_pile_up(desk: ReviewStore, clock: Clock) -> None:
    for number in range(20):
        desk.logins.begin(f"name{number}", f"192.0.2.{number}")
    clock.forward(FORGET_SECONDS)

    desk.logins.begin("anna", HOME)

    with desk._database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(login_failures)) == 2


def test_what_was_typed_as_a_name_is_not_kept(store: ReviewStore) -> None:
    """It is a password, now and then."""
    store.logins.begin("hunter2 hunter2", HOME)
    store.logins.record_failure(None, HOME)

    with store._database.reading() as connection:
        kept = str(connection.execute(select(login_failures)).all())
    assert "hunter2" not in kept + str(store.audit.latest())
    assert recorded(store) == [("(no such person)", "person.login_failed", "(no such person)")]


def test_a_failure_of_somebody_is_on_record_with_its_address(store: ReviewStore) -> None:
    store.logins.record_failure("anna", "2001:db8::7")

    line = store.audit.latest()[0]
    assert (line.action, line.subject, line.reason) == (
        "person.login_failed",
        "anna",
        "from 2001:db8::/64",
    )


def test_a_login_says_where_from(store: ReviewStore) -> None:
    joined(store)
    logged_in(store, verified=KEPT)

    assert store.audit.latest()[0].reason == f"from {HOME}"


def test_whoever_has_to_wait_keeps_no_writer_waiting(
    desk: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a flood of guesses would hold up the flags."""
    tried(desk, "anna", NAME_FREE)

    def refuse(**_: object) -> object:
        raise AssertionError("it wrote")

    monkeypatch.setattr(desk._database, "writing", refuse)

    assert tried(desk, "anna", 3) == [1.0] * 3
