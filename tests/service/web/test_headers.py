"""What every answer at or below `/review` tells a browser, and how files are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import service.web as package
from service.people.roles import PersonRole
from service.store.review import ReviewStore
from service.web.pages import environment
from service.web.static import address_of_file
from tests.service.scripted import ScriptedEngine
from tests.service.serving import Served, serving
from tests.service.store.examples import flag
from tests.service.web.visitor import Visitor, visitor_as

HERE = Path(package.__file__).parent
ASKED = [
    ("GET", "/review", 200),
    ("HEAD", "/review", 200),
    ("GET", "/review/cases/1", 200),
    ("GET", "/review/cases/2", 404),
    ("GET", "/review/cases/x", 404),
    ("GET", "/review?state=nonsense", 400),
    ("GET", "/review?before=-1", 400),
    ("GET", "/review?other=1", 400),
    ("GET", "/review/password", 200),
    ("GET", "/review/login", 303),
    ("GET", "/review/welcome/x", 404),
    ("GET", "/review/nothing-here", 404),
    ("GET", "/review/", 404),
    ("PUT", "/review", 405),
    ("POST", "/review/password", 400),
    ("POST", "/review/logout", 303),
]
POLICY = (
    "default-src 'none'; script-src 'nonce-NONCE'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'; sandbox allow-forms allow-same-origin"
)


@pytest.fixture
def served(store: ReviewStore) -> Iterator[Served]:
    store.commit_flag(flag(1))
    with serving(ScriptedEngine(), store) as started:
        yield started


@pytest.mark.parametrize(("method", "path", "status"), ASKED)
def test_every_answer_keeps_the_browser_within_bounds(
    served: Served, method: str, path: str, status: int
) -> None:
    response = visitor_as(served, PersonRole.ADMIN).ask(method, path)

    told = response.headers
    policy, nonces = re.subn(
        r"'nonce-([\w-]{20,})'", "'nonce-NONCE'", told["content-security-policy"]
    )
    assert response.status_code == status
    assert (policy, nonces) == (POLICY, 1)
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"
    assert told["cross-origin-opener-policy"] == "same-origin"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert told["cache-control"] == "no-store"
    assert "camera=()" in told["permissions-policy"]
    assert "access-control-allow-origin" not in told
    if response.content:
        assert told["content-type"] == "text/html; charset=utf-8"


def test_a_stranger_is_told_the_same(served: Served) -> None:
    for method, path, _ in ASKED:
        told = Visitor(served.client).ask(method, path).headers
        assert "sandbox" in told["content-security-policy"], (method, path)
        assert told["cache-control"] == "no-store"


def test_a_nonce_is_used_once(served: Served) -> None:
    visitor = visitor_as(served, PersonRole.ADMIN)

    policies = {visitor.get("/review").headers["content-security-policy"] for _ in range(5)}

    assert len(policies) == 5


@pytest.mark.parametrize(
    ("public_url", "told"),
    [
        ("https://watch.example", "max-age=31536000; includeSubDomains"),
        ("http://watch.example", None),
        ("", None),
    ],
)
def test_a_browser_that_came_over_tls_is_told_to_come_so_again(
    store: ReviewStore, public_url: str, told: str | None
) -> None:
    with serving(ScriptedEngine(), store, public_url=public_url) as served:
        response = Visitor(served.client).get("/review/login")

    assert response.headers.get("strict-transport-security") == told


@pytest.mark.parametrize("name", ["review.css", "mark.svg"])
def test_a_file_is_kept_for_ever_under_the_name_of_its_content(served: Served, name: str) -> None:
    response = Visitor(served.client).get(address_of_file(name))

    assert response.status_code == 200
    assert response.content == (HERE / "static" / name).read_bytes()
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert re.search(r"\.[0-9a-f]{12}\.(css|svg)$", address_of_file(name))


@pytest.mark.parametrize(
    "name", ["review.css", "..%2Fpages.py", "%2Fetc%2Fpasswd", "review.000000000000.css", "%00"]
)
def test_no_other_file_is_served(served: Served, name: str) -> None:
    assert Visitor(served.client).get(f"/review/static/{name}").status_code == 404


def test_escaping_is_on_for_every_template_and_switched_off_in_none() -> None:
    names = environment().list_templates()

    assert len(names) == 8
    assert environment().autoescape is True
    for path in [*(HERE / "templates").iterdir(), *HERE.glob("*.py")]:
        text = path.read_text()
        for word in ("| safe", "|safe", "autoescape false", "Markup(", "<script", "style="):
            assert word not in text, f"{path.name} has {word!r}"


def test_pages_load_nothing_but_our_own_files() -> None:
    for path in (HERE / "templates").iterdir():
        assert not re.search(r"(src|href|action)=\"(https?:)?//", path.read_text()), path.name
