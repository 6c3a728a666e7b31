"""Keys: who may ask, and when nobody may be let near."""

from __future__ import annotations

import asyncio
import threading

import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from service.app import create_app
from service.auth import NoKeys, keys_demanded, require_keys
from service.domain import KeyScope
from service.settings import Settings
from service.store.review import ReviewStore
from service.web.pages import is_page
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import MESSAGE, serving

PATHS = ["/v1/models", "/v1/monitor/cases", "/v1/no-such-route"]
HERE = Settings(host="127.0.0.1")
EVERYWHERE = Settings(host="0.0.0.0")


def test_another_address_than_loopback_is_refused_without_a_key(store: ReviewStore) -> None:
    with pytest.raises(NoKeys, match="probewatch keys create"):
        require_keys(EVERYWHERE, store.keys)


def test_a_revoked_key_does_not_open_an_address(store: ReviewStore) -> None:
    store.keys.create("somebody", by="test")
    store.keys.revoke("somebody", by="test")

    with pytest.raises(NoKeys):
        require_keys(EVERYWHERE, store.keys)


def test_a_valid_key_opens_an_address(store: ReviewStore) -> None:
    store.keys.create("somebody", by="test")

    with serving(ScriptedEngine(), store, host="0.0.0.0") as served:
        assert served.client.get("/livez").status_code == 200


def test_loopback_needs_none_unless_it_is_asked_for(store: ReviewStore) -> None:
    require_keys(HERE, store.keys)
    assert not keys_demanded(HERE)
    assert keys_demanded(Settings(keys_required=True))


def test_the_application_itself_refuses_to_start_without_keys(store: ReviewStore) -> None:
    """Whoever serves it by another command than ours must meet the same guard."""
    app = create_app(EVERYWHERE, ScriptedEngine(), store, CollectorRegistry())

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(NoKeys):
        asyncio.run(start())


@pytest.mark.parametrize("path", PATHS)
def test_where_keys_are_demanded_every_route_demands_one(store: ReviewStore, path: str) -> None:
    key = store.keys.create("somebody", by="test", scope=KeyScope.REVIEW)
    with serving(ScriptedEngine(), store, keys_required=True) as served:
        without = served.client.get(path)
        wrong = served.client.get(path, headers={"authorization": f"Bearer {key[:-1]}x"})
        right = served.client.get(path, headers={"authorization": f"Bearer {key}"})

    assert (without.status_code, wrong.status_code) == (401, 401)
    assert right.status_code in (200, 404)


PRIVATE = ["/v1/monitor/requests/r1", "/v1/monitor/cases", "/v1/monitor/cases/1"]
OPEN = ["/livez", "/readyz", "/metrics"]
ASKED = ["/v1/models", "/v1/models/scripted", "/v1/monitor/probes"]


def test_every_route_that_reads_is_for_all_for_who_asks_or_for_who_reviews(
    store: ReviewStore,
) -> None:
    """A new route that nobody thought about must not open what everybody said."""
    app = create_app(HERE, ScriptedEngine(), store, CollectorRegistry())
    reading = {
        route.path
        for route in app.routes
        if isinstance(route, Route) and "GET" in (route.methods or ()) and not is_page(route.path)
    }

    names = {"r1": "{request_id}", "1": "{case_id}", "scripted": "{model:path}"}
    listed = {"/".join(names.get(part, part) for part in path.split("/"))
              for path in OPEN + ASKED + PRIVATE}  # fmt: skip
    assert listed == reading


def test_a_key_that_asks_does_not_read_what_others_said(store: ReviewStore) -> None:
    key = store.keys.create("chat", by="test")
    headers = {"authorization": f"Bearer {key}"}
    with serving(ScriptedEngine(), store, keys_required=True) as served:
        refused = [served.client.get(path, headers=headers) for path in PRIVATE]
        beyond = served.client.get("/v1/monitor/to-come", headers=headers)
        allowed = [served.client.get(path, headers=headers).status_code for path in ASKED]

    assert [r.status_code for r in (*refused, beyond)] == [403] * 4
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert refused[0].json()["code"] == "insufficient_scope"
    assert "--scope review" in refused[0].json()["detail"]
    assert allowed == [200] * 3


def test_a_key_that_reviews_opens_everything(store: ReviewStore) -> None:
    key = store.keys.create("auditor", by="test", scope=KeyScope.REVIEW)
    headers = {"authorization": f"Bearer {key}"}
    with serving(ScriptedEngine(), store, keys_required=True) as served:
        found = [served.client.get(p, headers=headers).status_code for p in ASKED + PRIVATE]

    assert found == [200, 200, 200, 404, 200, 404]


def test_without_keys_on_loopback_everything_is_open(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        found = [served.client.get(path).status_code for path in ASKED + PRIVATE]

    assert found == [200, 200, 200, 404, 200, 404]


def test_nobody_waits_for_ever_while_keys_cannot_be_read(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    let = threading.Event()
    key = store.keys.create("somebody", by="test")
    monkeypatch.setattr(store.keys, "holder", lambda key: let.wait(60))
    with serving(ScriptedEngine(), store, keys_required=True, store_timeout_seconds=0.1) as served:
        headers = {"authorization": f"Bearer {key}"}
        response = served.client.get("/v1/models", headers=headers, timeout=10)
        let.set()

    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")


def test_a_key_that_is_revoked_is_refused_from_then_on(store: ReviewStore) -> None:
    key = store.keys.create("somebody", by="test")
    headers = {"authorization": f"Bearer {key}"}
    with serving(ScriptedEngine(steps=script("a")), store, keys_required=True) as served:
        body = {"model": "scripted", "messages": [MESSAGE]}
        first = served.client.post("/v1/chat/completions", json=body, headers=headers)
        store.keys.revoke("somebody", by="test")
        second = served.client.post("/v1/chat/completions", json=body, headers=headers)

    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["error"]["code"] == "invalid_api_key"


def test_health_is_open_to_whoever_watches(store: ReviewStore) -> None:
    store.keys.create("somebody", by="test")
    with serving(ScriptedEngine(), store, keys_required=True) as served:
        codes = [served.client.get(p).status_code for p in ("/livez", "/readyz", "/metrics")]

    assert codes == [200, 200, 200]


def test_nobody_is_let_in_while_keys_cannot_be_read(store: ReviewStore) -> None:
    key = store.keys.create("somebody", by="test")
    with serving(ScriptedEngine(), store, keys_required=True) as served:
        store.close()
        response = served.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})

    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:80", 200),
        ("localhost", 200),
        ("LocalHost:1", 200),
        ("[::1]:8700", 200),
        ("evil.example", 403),
    ],
)
def test_without_keys_only_loopback_names_are_answered(
    store: ReviewStore, host: str, status: int
) -> None:
    """A web page may give a name of its own the address 127.0.0.1, and ask as its own site."""
    with serving(ScriptedEngine(), store) as served:
        assert served.client.get("/v1/models", headers={"host": host}).status_code == status
