"""Sessions: they end when they should, at once and everywhere."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from service.domain import utc_now
from service.people.person import SessionLimits
from service.people.roles import PersonRole
from service.store.opening import open_store
from service.store.review import ReviewStore
from service.store.tables import people, sessions
from tests.service.store.desk import Clock
from tests.service.store.house import HOME, KEPT, LIMITS, joined, logged_in


def is_in(store: ReviewStore, token: str, limits: SessionLimits = LIMITS) -> bool:
    return store.sessions.holder(token, limits) is not None


def test_a_session_is_of_whoever_opened_it(store: ReviewStore) -> None:
    joined(store)
    joined(store, "bert", "lead")

    session = store.sessions.holder(logged_in(store, "bert"), LIMITS)

    assert session is not None
    assert (session.person.name, session.person.role) == ("bert", PersonRole.LEAD)


@pytest.mark.parametrize("token", ["", "x", "\x00", "\ud800", "0" * 100_000])
def test_a_made_up_cookie_is_no_session(store: ReviewStore, token: str) -> None:
    joined(store)
    logged_in(store)

    assert not is_in(store, token)


def test_a_session_ends_when_nothing_is_asked_for_a_while(desk: ReviewStore, clock: Clock) -> None:
    joined(desk)
    token = logged_in(desk)

    for _ in range(3):
        clock.forward(LIMITS.idle_seconds - 1)
        assert is_in(desk, token)
    clock.forward(LIMITS.idle_seconds)

    assert not is_in(desk, token)


def test_a_session_ends_after_half_a_day_however_much_is_asked(
    desk: ReviewStore, clock: Clock
) -> None:
    joined(desk)
    token = logged_in(desk)

    for _ in range(48):
        assert is_in(desk, token)
        clock.forward(LIMITS.absolute_seconds / 48)

    assert not is_in(desk, token)


def test_the_limits_in_force_count_and_not_those_of_the_login(
    desk: ReviewStore, clock: Clock
) -> None:
    joined(desk)
    token = logged_in(desk)
    clock.forward(100)

    assert not is_in(desk, token, SessionLimits(idle_seconds=99, absolute_seconds=43_200))
    assert not is_in(desk, token, SessionLimits(idle_seconds=1800, absolute_seconds=99))
    assert is_in(desk, token)


def test_not_every_request_writes(desk: ReviewStore, clock: Clock) -> None:
    """A page with ten files would be ten commits."""
    joined(desk)
    token = logged_in(desk)

    clock.forward(59)
    desk.sessions.holder(token, LIMITS)
    seen = desk.sessions.holder(token, LIMITS)
    clock.forward(2)
    desk.sessions.holder(token, LIMITS)
    again = desk.sessions.holder(token, LIMITS)

    assert seen is not None
    assert again is not None
    assert seen.seen_at == seen.created_at
    assert (again.seen_at - again.created_at).total_seconds() == 61


@pytest.mark.parametrize("how", ["logout", "disable", "role", "password", "link", "revoke"])
def test_whatever_ends_a_session_ends_it_at_once_on_every_gateway(
    store: ReviewStore, database_url: str, how: str
) -> None:
    joined(store)
    token, elsewhere = logged_in(store), logged_in(store)
    ends = {
        "logout": lambda: store.sessions.end(token),
        "disable": lambda: store.people.disable("anna", by="op"),
        "role": lambda: store.people.set_role("anna", PersonRole.ADMIN, by="op"),
        "password": lambda: store.people.change_password("anna", verified=KEPT, password="new"),
        "link": lambda: store.invitations.accept(
            store.invitations.reset("anna", by="op"), name="", display_name="", password="new"
        ),
        "revoke": lambda: store.sessions.end_all("anna", by="op"),
    }
    with open_store(database_url, timeout_seconds=20) as other:
        assert is_in(other, token)

        ends[how]()

        assert not is_in(other, token)
        assert is_in(other, elsewhere) == (how == "logout")


def test_a_login_ends_the_session_that_the_browser_had(store: ReviewStore) -> None:
    """Else a cookie that somebody planted or copied before would stay good beside the new one."""
    joined(store)
    planted = logged_in(store)

    new = store.sessions.open("anna", verified=KEPT, address=HOME, replaces=planted, limits=LIMITS)

    assert new != planted
    assert new is not None
    assert is_in(store, new)
    assert not is_in(store, planted)


def test_a_cookie_from_outside_never_becomes_a_session(store: ReviewStore) -> None:
    joined(store)

    store.sessions.open("anna", verified=KEPT, address=HOME, replaces="planted", limits=LIMITS)

    assert not is_in(store, "planted")


def test_nobody_logs_in_with_a_password_that_was_changed_meanwhile(store: ReviewStore) -> None:
    """Checking takes a tenth of a second, in which an admin may have given a new one."""
    joined(store)
    store.people.change_password("anna", verified=KEPT, password="new")

    opened = store.sessions.open("anna", verified=KEPT, address=HOME, replaces=None, limits=LIMITS)

    assert opened is None


def test_sessions_that_are_over_do_not_pile_up(desk: ReviewStore, clock: Clock) -> None:
    joined(desk)
    for _ in range(3):
        logged_in(desk)
        clock.forward(LIMITS.absolute_seconds)

    logged_in(desk)

    with desk._database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(sessions)) == 1


@pytest.mark.parametrize("how", ["disable", "role", "password"])
def test_what_ends_sessions_leaves_none_behind(store: ReviewStore, how: str) -> None:
    """Whether a person may log in is looked at as well, and either has to hold alone."""
    joined(store)
    logged_in(store)
    ends = {
        "disable": lambda: store.people.disable("anna", by="op"),
        "role": lambda: store.people.set_role("anna", PersonRole.ADMIN, by="op"),
        "password": lambda: store.people.change_password("anna", verified=KEPT, password="new"),
    }

    ends[how]()

    with store._database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(sessions)) == 0


def test_a_session_that_was_left_behind_is_none_once_its_person_is_disabled(
    store: ReviewStore,
) -> None:
    joined(store)
    token = logged_in(store)

    with store._database.writing() as connection:
        connection.execute(update(people).values(disabled_at=utc_now()))

    assert not is_in(store, token)
