"""Role by page by method: the whole matrix, made from the application's own routes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from starlette.routing import Route

from service.app import create_app
from service.domain import KeyScope
from service.people.roles import PersonRole
from service.settings import Settings
from service.store.review import ReviewStore
from service.store.tables import audit, invitations, login_failures, people, sessions
from service.web.pages import is_page
from tests.service.scripted import ScriptedEngine
from tests.service.serving import Served, serving
from tests.service.store.examples import SECRET_TEXT, flag
from tests.service.web.visitor import Visitor, visitor_as

EVERYBODY: set[PersonRole | None] = {None, *PersonRole}
LOGGED_IN: set[PersonRole | None] = set(PersonRole)
READERS = {PersonRole.AUDITOR, PersonRole.LEAD, PersonRole.ADMIN}

FOR = {
    ("GET", "/review"): LOGGED_IN,
    ("GET", "/review/cases/{case_id}"): LOGGED_IN,
    ("GET", "/review/password"): LOGGED_IN,
    ("POST", "/review/password"): LOGGED_IN,
    ("POST", "/review/logout"): LOGGED_IN,
    ("GET", "/review/login"): EVERYBODY,
    ("POST", "/review/login"): EVERYBODY,
    ("GET", "/review/welcome/{token}"): EVERYBODY,
    ("POST", "/review/welcome/{token}"): EVERYBODY,
    ("GET", "/review/static/{name}"): EVERYBODY,
}
"""Who may have what, written out a second time. HEAD is as GET."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SAMPLES = {"{case_id}": "1", "{token}": "no-such-link", "{name}": "no-such-file"}


@pytest.fixture
def served(store: ReviewStore) -> Iterator[Served]:
    store.commit_flag(flag(1))
    with serving(ScriptedEngine(), store) as started:
        yield started


def page_routes(store: ReviewStore) -> dict[str, set[str]]:
    app = create_app(Settings(), ScriptedEngine(), store, CollectorRegistry())
    return {
        route.path: set(route.methods or ())
        for route in app.routes
        if isinstance(route, Route) and is_page(route.path)
    }


def sample(path: str) -> str:
    for name, value in SAMPLES.items():
        path = path.replace(name, value)
    return path


def outcome(method: str, response: httpx2.Response) -> str:
    """What the guard made of a request; what the page itself then says is no matter."""
    if response.status_code == 405:
        return "no such method"
    sent_to = response.headers.get("location", "")
    if method in ("GET", "HEAD") and sent_to.startswith("/review/login"):
        return "sent to the login"
    for code in ("not_allowed", "no_session", "cross_site"):
        if f"403 {code}" in response.text:
            return code
    assert response.status_code < 500
    return "let in"


def standing(store: ReviewStore) -> str:
    """Everything that a request may not change."""
    with store._database.reading() as connection:
        tables = (people, sessions, invitations, login_failures, audit)
        return str([connection.execute(select(table)).all() for table in tables])


def test_every_page_has_an_entry_in_the_matrix(store: ReviewStore) -> None:
    """A page that nobody thought about might be for everybody."""
    found = {
        (method, path)
        for path, methods in page_routes(store).items()
        for method in methods - {"HEAD"}
    }

    assert found == set(FOR)


@pytest.mark.parametrize("role", [None, *PersonRole])
def test_each_role_is_let_in_exactly_where_the_matrix_says(
    served: Served, role: PersonRole | None
) -> None:
    for path in page_routes(served.store):
        for method in METHODS:
            visitor = visitor_as(served, role)
            who = FOR.get(("GET" if method == "HEAD" else method, path))
            stranger = "sent to the login" if method in ("GET", "HEAD") else "no_session"
            expected = (
                "no such method"
                if who is None
                else "let in"
                if role in who
                else stranger
                if role is None
                else "not_allowed"
            )

            found = outcome(method, visitor.ask(method, sample(path)))

            assert found == expected, (role, method, path)


def test_a_role_that_the_table_does_not_name_is_turned_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.people.roles.MAY", {})
    visitor = visitor_as(served, PersonRole.ADMIN)

    response = visitor.get("/review")

    assert (response.status_code, outcome("GET", response)) == (403, "not_allowed")
    assert SECRET_TEXT not in response.text


@pytest.mark.parametrize("role", [None, *PersonRole])
def test_a_conversation_is_shown_to_readers_on_the_page_of_its_case_and_nowhere_else(
    served: Served, role: PersonRole | None
) -> None:
    visitor = visitor_as(served, role)

    with_text = {
        path
        for path, methods in page_routes(served.store).items()
        if "GET" in methods and SECRET_TEXT in visitor.get(sample(path)).text
    }

    assert with_text == ({"/review/cases/{case_id}"} if role in READERS else set())


@pytest.mark.parametrize("path", ["/review", "/review/cases/1"])
def test_what_the_probes_said_is_shown_on_no_page(served: Served, path: str) -> None:
    """A reviewer who has seen the score judges the score."""
    text = visitor_as(served, PersonRole.ADMIN).get(path).text

    assert "petty" not in text
    assert "1.3" not in text
    assert "flag" not in text.replace("flagged", "")


FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": ""},
    {"sec-fetch-site": "cross-site", "origin": "OURS"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "OURS.evil.example"},
    {"origin": ""},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_other_site_can_change_anything(served: Served, headers: dict[str, str]) -> None:
    """A page elsewhere could send a form to us in the name of whoever looks at it."""
    told = {name: value.replace("OURS", served.url) for name, value in headers.items()}
    posts = [path for path, methods in page_routes(served.store).items() if "POST" in methods]
    visitor = visitor_as(served, PersonRole.ADMIN)
    visitor.headers = told
    before = standing(served.store)

    refused = [visitor.post(sample(path), name="x", password="y") for path in posts]

    assert len(posts) == 4
    assert [response.status_code for response in refused] == [403] * 4
    assert all("did not come from a page of this service" in r.text for r in refused)
    assert standing(served.store) == before


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"origin": "OURS"}], ids=str
)
def test_a_form_of_our_own_arrives(served: Served, headers: dict[str, str]) -> None:
    visitor = visitor_as(served, PersonRole.ADMIN)
    visitor.headers = {k: v.replace("OURS", served.url) for k, v in headers.items()}

    assert visitor.post("/review/logout").status_code == 303


def test_where_we_are_reached_by_a_name_only_that_name_is_our_origin(store: ReviewStore) -> None:
    """Behind a proxy the Host header may be anything that it passes on."""
    with serving(ScriptedEngine(), store, public_url="https://watch.example") as served:
        codes = []
        for origin in (served.url, "http://watch.example", "https://watch.example"):
            visitor = visitor_as(served, PersonRole.ADMIN)
            visitor.headers = {"origin": origin}
            codes.append(visitor.post("/review/logout").status_code)

    assert codes == [403, 403, 303]


def test_a_key_opens_no_page_and_a_session_no_route_that_wants_a_key(store: ReviewStore) -> None:
    key = store.keys.create("auditor", by="test", scope=KeyScope.REVIEW)
    with serving(ScriptedEngine(), store, keys_required=True) as served:
        with_key = Visitor(served.client, headers={"authorization": f"Bearer {key}"})
        visitor = visitor_as(served, PersonRole.ADMIN)

        page, route = with_key.get("/review"), visitor.get("/v1/monitor/cases")
        own = visitor.get("/review")

    assert (page.status_code, page.headers["location"]) == (303, "/review/login")
    assert route.status_code == 401
    assert own.status_code == 200


def test_loopback_is_no_session(served: Served) -> None:
    """There the API is open, and what everybody said would be too."""
    stranger = Visitor(served.client)

    assert stranger.get("/v1/monitor/cases").status_code == 200
    assert stranger.get("/review/cases/1").headers["location"].startswith("/review/login")


def test_a_foreign_name_for_loopback_is_refused_on_pages_too(served: Served) -> None:
    visitor = visitor_as(served, PersonRole.ADMIN)
    visitor.headers["host"] = "evil.example"

    response = visitor.get("/review")

    assert response.status_code == 403
    assert response.headers["content-type"].startswith("text/html")


def test_nobody_is_let_in_while_sessions_cannot_be_read(served: Served) -> None:
    visitor = visitor_as(served, PersonRole.ADMIN)
    served.store.close()

    response = visitor.get("/review")

    assert response.status_code == 503
    assert SECRET_TEXT not in response.text
