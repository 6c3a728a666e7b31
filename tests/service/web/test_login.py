"""Logging in and out, links and passwords, as a browser meets them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST

from service.people.passwords import Passwords
from service.people.roles import PersonRole
from service.store.review import ReviewStore
from tests.service.scripted import ScriptedEngine
from tests.service.serving import Served, serving
from tests.service.store.desk import Clock
from tests.service.store.house import recorded
from tests.service.web.visitor import PASSWORD, Visitor, visitor_as, with_password

WRONG = "Name or password is wrong."
OTHER = "nine lighthouses and a kettle"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def served(store: ReviewStore, clock: Clock) -> Iterator[Served]:
    """A service whose store goes by the test's clock."""
    desk = ReviewStore(store._database, now=clock)
    with serving(ScriptedEngine(), desk) as started:
        yield started


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes against which a password was checked, in order."""
    checked: list[str] = []
    verify = PasswordHasher.verify

    def spy(hasher: PasswordHasher, kept: str, password: bytes) -> bool:
        checked.append(kept)
        return verify(hasher, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", spy)
    return checked


def is_in(visitor: Visitor) -> bool:
    return visitor.get("/review").status_code == 200


def without_nonce(text: str) -> str:
    return re.sub(r"nonce-[\w-]+", "nonce", text)


def test_the_right_password_opens_a_session(served: Served) -> None:
    with_password(served.store)
    visitor = Visitor(served.client)
    assert not is_in(visitor)

    response = visitor.log_in(" Anna ")

    assert (response.status_code, response.headers["location"]) == (303, "/review")
    assert is_in(visitor)


def test_the_cookie_is_for_this_host_over_tls_and_for_no_script(served: Served) -> None:
    with_password(served.store)

    line = Visitor(served.client).log_in().headers["set-cookie"]

    name, *attributes = [part.strip() for part in line.split(";")]
    assert name.startswith("__Host-probewatch-session=")
    assert {a.lower() for a in attributes} == {"secure", "httponly", "samesite=strict", "path=/"}


def test_wrong_unknown_and_disabled_get_one_answer_for_the_same_work(
    served: Served, hashed: list[str]
) -> None:
    """Whoever may not log in is not to learn who may: neither by words nor by the time."""
    with_password(served.store)
    with_password(served.store, "gone")
    served.store.people.disable("gone", by="op")
    answers = []
    for name, password in (("anna", OTHER), ("gone", PASSWORD), ("nobody", PASSWORD), ("", "")):
        before = len(hashed)
        response = Visitor(served.client).log_in(name, password)
        shown = without_nonce(response.text).replace(f'value="{name}"', "NAME")
        work = {kept.rsplit("$", 2)[0] for kept in hashed[before:]}
        answers.append((response.status_code, WRONG in shown, len(hashed) - before, work))

    assert answers == [(403, True, 1, {"$argon2id$v=19$m=65536,t=3,p=4"})] * 4


def test_a_name_that_fails_five_times_waits_and_nothing_is_checked_meanwhile(
    served: Served, clock: Clock, hashed: list[str]
) -> None:
    with_password(served.store)
    visitor = Visitor(served.client)
    for _ in range(5):
        assert visitor.log_in(password=OTHER).status_code == 403

    waiting = visitor.log_in()
    clock.forward(1)
    right = visitor.log_in()

    assert (waiting.status_code, waiting.headers["retry-after"]) == (429, "1")
    assert "wait 1 seconds" in waiting.text
    assert right.status_code == 303
    assert len(hashed) == 6


def test_an_unknown_name_waits_just_the_same(served: Served) -> None:
    visitor = Visitor(served.client)

    codes = [visitor.log_in("nobody", OTHER).status_code for _ in range(6)]

    assert codes == [403] * 5 + [429]


def test_logins_and_failures_are_on_record(served: Served) -> None:
    with_password(served.store)
    visitor = Visitor(served.client)
    visitor.log_in(password=OTHER)
    visitor.log_in("secret typed as name", OTHER)
    visitor.log_in()
    visitor.post("/review/logout")

    assert recorded(served.store)[-4:] == [
        ("anna", "person.login_failed", "anna"),
        ("(no such person)", "person.login_failed", "(no such person)"),
        ("anna", "person.login", "anna"),
        ("anna", "person.logout", "anna"),
    ]


def test_a_cookie_that_was_planted_is_worth_nothing_after_the_login(served: Served) -> None:
    """Session fixation: whoever planted it would be logged in as their victim."""
    with_password(served.store)
    victim = Visitor(served.client, cookie="planted-by-somebody")

    victim.log_in()

    assert victim.cookie not in (None, "planted-by-somebody")
    assert is_in(victim)
    assert not is_in(Visitor(served.client, cookie="planted-by-somebody"))


def test_a_login_over_a_session_ends_that_session(served: Served) -> None:
    """An attacker's own session, planted in a victim's browser, is no way back to theirs."""
    with_password(served.store)
    attacker = visitor_as(served, PersonRole.AUDITOR)
    planted = attacker.cookie
    victim = Visitor(served.client, cookie=planted)

    victim.log_in()

    assert victim.cookie != planted
    assert not is_in(Visitor(served.client, cookie=planted))


def test_a_cookie_is_worth_nothing_after_the_logout(served: Served) -> None:
    visitor = visitor_as(served, PersonRole.AUDITOR)
    copied = visitor.cookie

    response = visitor.post("/review/logout")

    assert (response.status_code, response.headers["location"]) == (303, "/review/login")
    assert "max-age=0" in response.headers["set-cookie"].lower()
    assert visitor.cookie is None
    assert not is_in(Visitor(served.client, cookie=copied))


def test_a_session_ends_by_itself(served: Served, clock: Clock) -> None:
    visitor = visitor_as(served, PersonRole.AUDITOR)
    clock.forward(1799)
    assert is_in(visitor)
    clock.forward(1800)

    assert not is_in(visitor)
    assert visitor.post("/review/logout").status_code == 403


def test_the_settings_say_when_a_session_ends(store: ReviewStore, clock: Clock) -> None:
    desk = ReviewStore(store._database, now=clock)
    settings = {"session_idle_seconds": 10, "session_absolute_seconds": 15}
    with serving(ScriptedEngine(), desk, **settings) as served:
        idle, busy = (visitor_as(served, PersonRole.AUDITOR) for _ in range(2))
        clock.forward(9)
        early = is_in(busy)
        clock.forward(1)
        found = is_in(idle), is_in(busy)
        clock.forward(5)
        late = is_in(busy)

    assert (early, found, late) == (True, (False, True), False)


def test_another_role_counts_at_once_and_asks_for_a_new_login(served: Served) -> None:
    visitor = visitor_as(served, PersonRole.ADMIN)

    served.store.people.set_role("the-admin", PersonRole.READ_ONLY, by="op")

    assert not is_in(visitor)


def test_the_first_link_makes_an_admin_who_is_logged_in(served: Served) -> None:
    link = served.store.invitations.first(by="probewatch serve")
    path = f"/review/welcome/{link}"
    visitor = Visitor(served.client)
    assert visitor.get(path).status_code == 200
    assert visitor.get(path).status_code == 200, "looking uses nothing up"

    response = visitor.post(
        path, name="Root", display_name="Ruth", password=PASSWORD, again=PASSWORD
    )

    assert (response.status_code, response.headers["location"]) == (303, "/review")
    assert "Ruth" in visitor.get("/review").text
    assert [(p.name, p.role) for p in served.store.people.list()] == [("root", PersonRole.ADMIN)]
    assert Visitor(served.client).get(path).status_code == 404
    assert Visitor(served.client).log_in("root").status_code == 303


def test_a_form_cannot_choose_a_name_or_role_that_the_link_does_not_give(served: Served) -> None:
    link = served.store.invitations.join("anna", PersonRole.READ_ONLY, by="op")
    form = {"name": "root", "role": "admin", "display_name": "A", "password": PASSWORD}

    Visitor(served.client).post(f"/review/welcome/{link}", again=PASSWORD, **form)

    found = [(p.name, p.role) for p in served.store.people.list()]
    assert found == [("anna", PersonRole.READ_ONLY)]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"password": "tiny-42", "again": "tiny-42"}, "shorter than 12"),
        ({"password": PASSWORD, "again": OTHER}, "The two passwords differ"),
        ({"password": "password2026", "again": "password2026"}, "tried first"),
        ({"password": "anna annabell", "again": "anna annabell"}, "your name"),
        ({"display_name": "  "}, "display name"),
        ({"name": "Ann a"}, "letters a to z"),
        ({"name": "<script>alert(1)</script>"}, "letters a to z"),
    ],
)
def test_what_is_refused_is_told_and_the_link_stays_good(
    served: Served, form: dict[str, str], told: str
) -> None:
    link = served.store.invitations.first(by="probewatch serve") or ""
    whole = {"name": "anna", "display_name": "Annabell", "password": PASSWORD, "again": PASSWORD}

    response = Visitor(served.client).post(f"/review/welcome/{link}", **{**whole, **form})

    assert response.status_code == 400
    assert told in response.text
    assert form.get("password", PASSWORD) not in response.text
    assert "<script>" not in response.text
    assert served.store.invitations.find(link) is not None


def test_a_forgotten_password_is_replaced_by_a_link(served: Served) -> None:
    with_password(served.store)
    link = served.store.invitations.reset("anna", by="op")

    Visitor(served.client).post(f"/review/welcome/{link}", password=OTHER, again=OTHER)

    assert Visitor(served.client).log_in().status_code == 403
    assert Visitor(served.client).log_in(password=OTHER).status_code == 303


def test_whoever_changes_their_password_stays_in_and_is_out_everywhere_else(
    served: Served,
) -> None:
    with_password(served.store)
    here, elsewhere = Visitor(served.client), Visitor(served.client)
    here.log_in()
    elsewhere.log_in()
    before = here.cookie

    response = here.post("/review/password", old=PASSWORD, password=OTHER, again=OTHER)

    assert response.status_code == 303
    assert here.cookie != before
    assert (is_in(here), is_in(elsewhere)) == (True, False)
    assert Visitor(served.client).log_in(password=OTHER).status_code == 303


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"old": OTHER}, 403, "The old password is wrong"),
        ({"password": "short", "again": "short"}, 400, "shorter than 12"),
        ({"again": PASSWORD}, 400, "The two passwords differ"),
    ],
)
def test_a_password_that_cannot_be_changed_stays(
    served: Served, form: dict[str, str], status: int, told: str
) -> None:
    """Somebody at an unlocked screen must not take the account over."""
    with_password(served.store)
    visitor = Visitor(served.client)
    visitor.log_in()
    whole = {"old": PASSWORD, "password": OTHER, "again": OTHER}

    response = visitor.post("/review/password", **{**whole, **form})

    assert (response.status_code, told in response.text) == (status, True)
    assert Visitor(served.client).log_in().status_code == 303


def test_guessing_the_old_password_counts_as_failing_to_log_in(served: Served) -> None:
    with_password(served.store)
    visitor = Visitor(served.client)
    visitor.log_in()
    form = {"old": "guess", "password": OTHER, "again": OTHER}

    codes = [visitor.post("/review/password", **form).status_code for _ in range(6)]

    assert codes == [403] * 5 + [429]


def test_a_hash_that_took_less_work_is_made_anew_at_the_login(served: Served) -> None:
    with_password(served.store)
    kept = served.store.people.password_of("anna") or ""
    weak = Passwords(CHEAPEST).hash(PASSWORD)
    served.store.people.renew_password("anna", verified=kept, password=weak)

    assert Visitor(served.client).log_in().status_code == 303

    now = served.store.people.password_of("anna") or ""
    assert now.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Visitor(served.client).log_in().status_code == 303


@pytest.mark.parametrize(
    ("asked_for", "sent_to"),
    [
        ("/review/cases/7", "/review/cases/7"),
        ("https://evil.example", "/review"),
        ("//evil.example", "/review"),
        ("/review/cases/7@evil.example", "/review"),
        ("/review/../v1/models", "/review"),
        ("/review\n", "/review"),
        ("javascript:alert(1)", "/review"),
    ],
)
def test_a_login_leads_on_to_pages_of_ours_only(
    served: Served, asked_for: str, sent_to: str
) -> None:
    with_password(served.store)

    response = Visitor(served.client).log_in(next=asked_for)

    assert response.headers["location"] == sent_to


def test_a_page_that_was_asked_for_is_remembered_over_the_login(served: Served) -> None:
    stranger = Visitor(served.client)

    asked = stranger.get("/review/cases/7").headers["location"]

    assert asked == "/review/login?next=%2Freview%2Fcases%2F7"
    assert 'value="/review/cases/7"' in stranger.get(asked).text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=a&name=b", "application/x-www-form-urlencoded", 400),
        (b"name=%ff", "application/x-www-form-urlencoded", 400),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"f%d=1" % n for n in range(50)), "application/x-www-form-urlencoded", 400),
        (b"name=" + b"a" * 20_000, "application/x-www-form-urlencoded", 413),
        (b'{"name": "a"}', "application/json", 415),
        (b"name=a", "text/plain", 415),
        (b"name=a", "multipart/form-data; boundary=x", 415),
    ],
)
def test_what_is_no_form_of_ours_is_refused(
    served: Served, body: bytes, kind: str, status: int
) -> None:
    headers = {"sec-fetch-site": "same-origin", "content-type": kind}

    response = served.client.post("/review/login", content=body, headers=headers)

    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("value", ["", "x", '"', "a" * 4000, "%00", "\\"])
def test_a_made_up_cookie_is_a_stranger(served: Served, value: str) -> None:
    assert Visitor(served.client, cookie=value).get("/review").status_code == 303


@pytest.mark.parametrize("path", ["/review/login", "/review/welcome/LINK"])
def test_a_browser_that_cannot_log_in_is_told_so_before(served: Served, path: str) -> None:
    """Over plain HTTP it would be sent back to an empty login page again and again."""
    link = served.store.invitations.first(by="probewatch serve") or ""
    path = path.replace("LINK", link)

    fit, unfit = Visitor(served.client), Visitor(served.client, headers={})

    assert "over https" not in fit.get(path).text
    assert "over https" in unfit.get(path).text
