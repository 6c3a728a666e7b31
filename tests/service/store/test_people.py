"""People and one-time links: what they make, what they end, and that all of it is on record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from service.people.errors import (
    LinkRefused,
    NameRefused,
    PeopleRefused,
    PersonExists,
    UnknownPerson,
)
from service.people.person import LINK_SECONDS, Person, Purpose
from service.people.roles import PersonRole
from service.store.review import ReviewStore
from service.store.tables import invitations, people, sessions
from tests.service.store.desk import Clock
from tests.service.store.house import KEPT, LIMITS, joined, logged_in, recorded


def accepted(store: ReviewStore, link: str, name: str = "", password: str = KEPT) -> Person:
    return store.invitations.accept(link, name=name, display_name="Somebody", password=password)


def test_the_first_link_makes_an_admin_of_a_chosen_name(store: ReviewStore) -> None:
    link = store.invitations.first(by="probewatch serve")

    assert link is not None
    person = accepted(store, link, "Root.1")

    assert (person.name, person.role, person.disabled_at) == ("root.1", PersonRole.ADMIN, None)
    assert store.people.list() == (person,)


def test_once_there_is_anybody_there_is_no_first_link(store: ReviewStore) -> None:
    joined(store)

    assert store.invitations.first(by="probewatch serve") is None


def test_a_first_link_is_dead_once_there_is_anybody(store: ReviewStore) -> None:
    """It lies in a terminal's history or a log, and would make an admin of whoever reads that."""
    link = store.invitations.first(by="probewatch serve") or ""
    joined(store)

    assert store.invitations.find(link) is None
    with pytest.raises(LinkRefused):
        accepted(store, link, "intruder")
    assert [person.name for person in store.people.list()] == ["anna"]


def test_a_newer_first_link_replaces_the_older(store: ReviewStore) -> None:
    old = store.invitations.first(by="probewatch serve") or ""
    new = store.invitations.first(by="probewatch serve") or ""

    assert (store.invitations.find(old), store.invitations.find(new) is None) == (None, False)


def test_an_invited_person_has_the_name_and_role_of_the_link(store: ReviewStore) -> None:
    """What is sent along with the link must not make an admin of an auditor."""
    link = store.invitations.join("Anna", PersonRole.AUDITOR, by="op")

    invitation = store.invitations.find(link)
    person = accepted(store, link, "root")

    assert invitation is not None
    assert (invitation.purpose, invitation.name) == (Purpose.JOIN, "anna")
    assert (person.name, person.role) == ("anna", PersonRole.AUDITOR)


def test_a_link_works_once(store: ReviewStore) -> None:
    link = store.invitations.join("anna", PersonRole.AUDITOR, by="op")
    accepted(store, link)

    assert store.invitations.find(link) is None
    with pytest.raises(LinkRefused):
        accepted(store, link)


def test_a_link_that_two_use_at_once_works_once(store: ReviewStore) -> None:
    link = store.invitations.join("anna", PersonRole.AUDITOR, by="op")

    def use(password: str) -> str | None:
        try:
            accepted(store, link, password=password)
        except PeopleRefused:
            return None
        return password

    with ThreadPoolExecutor(4) as pool:
        used = [done for done in pool.map(use, "abcd") if done]

    assert used == [store.people.password_of("anna")]


def test_a_link_is_good_for_a_day(desk: ReviewStore, clock: Clock) -> None:
    link = desk.invitations.join("anna", PersonRole.AUDITOR, by="op")

    clock.forward(LINK_SECONDS - 1)
    assert desk.invitations.find(link) is not None
    clock.forward(1)

    assert desk.invitations.find(link) is None
    with pytest.raises(LinkRefused):
        accepted(desk, link)


def test_a_refused_name_does_not_use_the_link_up(store: ReviewStore) -> None:
    link = store.invitations.first(by="probewatch serve") or ""

    with pytest.raises(NameRefused):
        accepted(store, link, "no such name!")

    assert store.invitations.find(link) is not None


@pytest.mark.parametrize("disabled", [False, True])
def test_a_name_is_never_given_twice(store: ReviewStore, disabled: bool) -> None:
    """Verdicts and the record name people: a second Anna would have said what the first said."""
    joined(store)
    if disabled:
        store.people.disable("anna", by="op")

    with pytest.raises(PersonExists):
        store.invitations.join(" ANNA ", PersonRole.ADMIN, by="op")


def test_the_same_name_in_an_old_link_is_refused(store: ReviewStore) -> None:
    first = store.invitations.first(by="op") or ""
    link = store.invitations.join("anna", PersonRole.AUDITOR, by="op")
    accepted(store, first, "anna")

    with pytest.raises(PersonExists):
        accepted(store, link)


def test_a_new_password_by_a_link_ends_all_sessions(store: ReviewStore) -> None:
    joined(store)
    session = logged_in(store)
    link = store.invitations.reset("anna", by="op")
    assert store.sessions.holder(session, LIMITS) is not None, "until the link is used"

    accepted(store, link, "someone else", password="other")

    assert store.people.password_of("anna") == "other"
    assert store.sessions.holder(session, LIMITS) is None
    assert store.people.list()[0].display_name == "Anna"


def test_a_link_for_a_new_password_dies_with_its_person(store: ReviewStore) -> None:
    joined(store)
    link = store.invitations.reset("anna", by="op")
    store.people.disable("anna", by="op")

    with pytest.raises(LinkRefused):
        accepted(store, link)


def test_a_disabled_person_cannot_log_in(store: ReviewStore) -> None:
    joined(store)
    store.people.disable("anna", by="op", reason="left")

    opened = store.sessions.open(
        "anna", verified=KEPT, address="192.0.2.1", replaces=None, limits=LIMITS
    )

    assert store.people.password_of("anna") is None
    assert opened is None
    assert store.people.list()[0].disabled_at is not None


@pytest.mark.parametrize("what", ["set_role", "disable", "reset", "end_all"])
@pytest.mark.parametrize("gone", [False, True])
def test_what_is_done_to_nobody_is_refused(store: ReviewStore, what: str, gone: bool) -> None:
    if gone:
        joined(store)
        store.people.disable("anna", by="op")
    acts = {
        "set_role": lambda: store.people.set_role("anna", PersonRole.ADMIN, by="op"),
        "disable": lambda: store.people.disable("anna", by="op"),
        "reset": lambda: store.invitations.reset("anna", by="op"),
        "end_all": lambda: store.sessions.end_all("anna", by="op"),
    }

    with pytest.raises(UnknownPerson, match="probewatch people list"):
        acts[what]()


def test_a_password_changes_only_from_the_one_that_was_shown(store: ReviewStore) -> None:
    """Two who change it at once: the one whose old password is no longer it has to be refused."""
    joined(store)

    assert store.people.change_password("anna", verified=KEPT, password="new")
    assert not store.people.change_password("anna", verified=KEPT, password="newer")
    assert not store.people.renew_password("anna", verified=KEPT, password="newer")

    assert store.people.password_of("anna") == "new"


def test_a_harder_hash_of_the_same_password_ends_nothing(store: ReviewStore) -> None:
    joined(store)
    session = logged_in(store)

    assert store.people.renew_password("anna", verified=KEPT, password="harder")

    assert store.sessions.holder(session, LIMITS) is not None


def test_neither_links_nor_sessions_can_be_read_out_of_the_database(store: ReviewStore) -> None:
    """A stolen backup must not log anybody in."""
    joined(store)
    secrets = [
        logged_in(store),
        store.invitations.join("bert", PersonRole.LEAD, by="op"),
        store.invitations.reset("anna", by="op"),
    ]

    with store._database.reading() as connection:
        rows = [
            str(row)
            for table in (people, sessions, invitations)
            for row in connection.execute(select(table))
        ]
    assert len(rows) == 4
    assert not any(secret in row for secret in secrets for row in rows)


def test_everything_that_happens_to_people_is_on_record(store: ReviewStore) -> None:
    first = store.invitations.first(by="probewatch serve") or ""
    accepted(store, first, "root")
    joined(store)
    session = logged_in(store)
    store.sessions.end(session)
    store.people.set_role("anna", PersonRole.LEAD, by="root", reason="she leads now")
    accepted(store, store.invitations.reset("anna", by="root"), password="other")
    store.people.change_password("anna", verified="other", password="own")
    store.sessions.end_all("anna", by="root")
    store.people.disable("anna", by="root", reason="left")

    assert recorded(store) == [
        ("probewatch serve", "person.invite_first", "the first person"),
        ("root", "person.join", "root"),
        ("op", "person.invite_join", "anna"),
        ("anna", "person.join", "anna"),
        ("anna", "person.login", "anna"),
        ("anna", "person.logout", "anna"),
        ("root", "person.role", "anna"),
        ("root", "person.invite_reset", "anna"),
        ("anna", "person.password", "anna"),
        ("anna", "person.password", "anna"),
        ("root", "person.revoke_sessions", "anna"),
        ("root", "person.disable", "anna"),
    ]
    role = next(line for line in store.audit.latest() if line.action == "person.role")
    assert (role.before, role.after, role.reason) == ("auditor", "lead", "she leads now")
    assert store.audit.verify().findings == ()


def test_what_is_not_put_on_record_does_not_happen(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(store)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the record cannot be written")

    monkeypatch.setattr("service.store.people.add_entry", fail)
    monkeypatch.setattr("service.store.sessions.add_entry", fail)
    for act in (
        lambda: store.people.set_role("anna", PersonRole.ADMIN, by="op"),
        lambda: store.people.disable("anna", by="op"),
        lambda: logged_in(store),
    ):
        with pytest.raises(RuntimeError):
            act()

    assert store.people.list()[0].role is PersonRole.AUDITOR
    assert store.people.list()[0].disabled_at is None
    with store._database.reading() as connection:
        assert connection.execute(select(sessions)).all() == []
