"""The application as a whole: its routes are a closed list, and each that speaks is watched."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from probing.errors import TemplateError
from service.app import create_app
from service.settings import Settings
from service.store.review import ReviewStore
from service.web.pages import is_page
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import MESSAGE, Served, serving

DOCS = Path(__file__).parents[2] / "docs"

GENERATING = {
    "/v1/chat/completions": {"messages": [MESSAGE]},
    "/v1/completions": {"prompt": "Once upon a time"},
}
"""Routes that return generated text, each with a body that makes it do so."""

SILENT = {
    "/v1/models",
    "/v1/models/{model:path}",
    "/v1/monitor/probes",
    "/v1/monitor/requests/{request_id}",
    "/v1/monitor/cases",
    "/v1/monitor/cases/{case_id}",
    "/livez",
    "/readyz",
    "/metrics",
}
"""Routes that return none: what they know of an answer is already in the store."""

PAGES = {
    "/review": {"GET", "HEAD"},
    "/review/cases/{case_id}": {"GET", "HEAD"},
    "/review/login": {"GET", "HEAD", "POST"},
    "/review/logout": {"POST"},
    "/review/password": {"GET", "HEAD", "POST"},
    "/review/static/{name}": {"GET", "HEAD"},
    "/review/welcome/{token}": {"GET", "HEAD", "POST"},
}
"""Pages, for people who log in. They know no engine."""


def routes(store: ReviewStore) -> dict[str, set[str]]:
    app = create_app(Settings(), ScriptedEngine(), store, CollectorRegistry())
    found: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route), f"{route} may hide others"
        found.setdefault(route.path, set()).update(route.methods or ())
    return found


def test_the_routes_are_a_closed_list(store: ReviewStore) -> None:
    """A route that this list does not know could speak without the gate."""
    assert set(routes(store)) == set(GENERATING) | SILENT | set(PAGES)


def test_only_the_generating_routes_and_forms_take_anything(store: ReviewStore) -> None:
    for path, methods in routes(store).items():
        expected = {"POST"} if path in GENERATING else {"GET", "HEAD"}
        assert methods == PAGES.get(path, expected), path
        assert is_page(path) == (path in PAGES)


def test_every_route_is_in_the_page_of_the_api(store: ReviewStore) -> None:
    page = (DOCS / "api.md").read_text()

    for path in routes(store):
        assert f"`{path.replace(':path', '')}`" in page, f"docs/api.md does not name {path}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", GENERATING)
def test_every_route_that_speaks_gives_a_receipt(
    store: ReviewStore, path: str, stream: bool
) -> None:
    with serving(ScriptedEngine(steps=script("a", "b", "c")), store) as served:
        choice = last_choice(served, path, stream)

    assert choice["probewatch"] == {
        "probe_set": "abcdefabcdef",
        "scored": 3,
        "released": 3,
        "released_unscored": 0,
        "decision": "pass",
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", GENERATING)
def test_no_route_that_speaks_releases_an_unscored_token(
    store: ReviewStore, path: str, stream: bool
) -> None:
    unscored = [replace(s, scores=None) for s in script("SECRET", "!")]
    with serving(ScriptedEngine(steps=unscored), store) as served:
        response = served.client.post(path, json=_body(path, stream))

    assert "SECRET" not in response.text
    assert response.status_code == 503


ELSEWHERE = [
    "/",
    "/docs",
    "/openapi.json",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/inference/v1/generate",
    "/v1/chat/completions/",
]


def test_everything_else_is_not_found(store: ReviewStore) -> None:
    with serving(ScriptedEngine(steps=script("a")), store) as served:
        found = {
            (method, path): served.client.request(method, path, json={})
            for method in ("GET", "POST")
            for path in ELSEWHERE
        }

    for asked, response in found.items():
        assert response.status_code == 404, asked
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_a_wrong_method_is_told_in_openais_shape(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        response = served.client.get("/v1/chat/completions")

    assert (response.status_code, response.json()["error"]["code"]) == (405, "bad_method")
    assert response.headers["allow"] == "POST"


def test_a_wrong_method_is_told_which_ones_are_right(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        response = served.client.post("/v1/monitor/cases")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/v1/monitor/cases"])
def test_what_answers_get_answers_head_without_a_body(store: ReviewStore, path: str) -> None:
    """Watchers of load balancers ask so."""
    with serving(ScriptedEngine(), store) as served:
        whole, head = served.client.get(path), served.client.head(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_a_client_that_leaves_while_it_sends_is_no_fault(
    store: ReviewStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Else everybody could fill the log with errors and set off the alert on them."""
    registry = CollectorRegistry()
    app = create_app(Settings(), ScriptedEngine(), store, registry)
    sent: list[object] = []
    coming = iter(
        [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, object]:
        return next(coming)

    async def send(message: object) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    path = "/v1/chat/completions"
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers,
             "query_string": b"", "http_version": "1.1", "scheme": "http"}  # fmt: skip
    asyncio.run(app(scope, receive, send))

    refused = {"code": "internal_error"}
    assert registry.get_sample_value("probewatch_requests_refused_total", refused) is None
    assert (sent, caplog.records) == ([], [])


def test_what_a_template_says_of_a_message_is_not_passed_on(store: ReviewStore) -> None:
    """A template's own words can quote the message that it refuses."""

    class Picky(ScriptedEngine):
        def render_chat(self, messages: object) -> tuple[int, ...]:
            raise TemplateError(f"cannot say {messages}")

    with serving(Picky(), store) as served:
        response = served.chat()

    assert (response.status_code, response.json()["error"]["code"]) == (400, "template_error")
    assert "check the roles" in response.text
    assert "plants" not in response.text


def test_an_unforeseen_fault_is_a_500_and_no_text_in_the_log(
    store: ReviewStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(ScriptedEngine):
        def render_chat(self, messages: object) -> tuple[int, ...]:
            raise ZeroDivisionError(f"while reading {messages}")

    with serving(Broken(), store) as served:
        response = served.chat()

    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert "plants" not in caplog.text + response.text


def test_importing_the_application_neither_loads_torch_nor_reads_the_environment() -> None:
    code = "import sys, service.app; print('torch' in sys.modules)"
    environment = {"PROBEWATCH_PORT": "not a port"}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )

    assert done.stdout.strip() == "False", done.stderr


def _body(path: str, stream: bool) -> dict[str, object]:
    return {"model": "scripted", "stream": stream, **GENERATING[path]}


def last_choice(served: Served, path: str, stream: bool) -> dict[str, object]:
    response = served.client.post(path, json=_body(path, stream))
    if not stream:
        return dict(response.json()["choices"][0])
    *_, last, done = [line[6:] for line in response.text.split("\n\n") if line]
    assert done == "[DONE]"
    return dict(json.loads(last)["choices"][0])
