"""Health: alive, ready, and counted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from service.asking import REMEMBERED_SECONDS
from service.store.review import ReviewStore
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import serving
from tests.service.test_gate import write_locked


def test_a_locked_database_is_red_and_alive(store: ReviewStore, tmp_path: Path) -> None:
    with serving(ScriptedEngine(), store) as served, write_locked(tmp_path / "review.db"):
        ready, alive = served.client.get("/readyz"), served.client.get("/livez")

    assert (ready.status_code, ready.json()["reasons"]) == (503, ["store_unavailable"])
    assert alive.status_code == 200


def test_a_hundred_health_checks_are_one_commit(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no key, so that each could be a write to the disk that flags go to."""
    commits: list[int] = []
    check = store.check
    monkeypatch.setattr(store, "check", lambda: (commits.append(1), check()))
    with serving(ScriptedEngine(), store) as served:
        began = time.monotonic()
        codes = {served.client.get("/readyz").status_code for _ in range(100)}
        seconds = time.monotonic() - began

    assert codes == {200}
    assert len(commits) <= 1 + seconds / REMEMBERED_SECONDS


@pytest.mark.parametrize(("path", "status"), [("/readyz", 503), ("/metrics", 200)])
def test_health_does_not_wait_for_a_store_that_hangs(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    """Else a hanging disk would hide the very counters that tell of it."""
    let = threading.Event()
    monkeypatch.setattr(store, "check", lambda: let.wait(60))
    monkeypatch.setattr(store, "counts", lambda: let.wait(60))
    with serving(ScriptedEngine(), store, store_timeout_seconds=0.1) as served:
        response = served.client.get(path)
        let.set()

    assert response.status_code == status
    assert "probewatch_cases_open 1" not in response.text


def test_a_dead_engine_is_red(store: ReviewStore) -> None:
    with serving(ScriptedEngine(alive=False), store) as served:
        response = served.client.get("/readyz")

    assert (response.status_code, response.json()["reasons"]) == (503, ["engine_dead"])


def test_a_sound_service_is_green(store: ReviewStore) -> None:
    with serving(ScriptedEngine(), store) as served:
        response = served.client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ready", "reasons": []})


def test_metrics_hold_counts_and_no_text(store: ReviewStore) -> None:
    with serving(ScriptedEngine(steps=script("a secret", above=0)), store) as served:
        served.chat(user="somebody")
        text = served.client.get("/metrics").text

    assert 'probewatch_flags_committed_total{decision="flag",probe="petty"} 1.0' in text
    assert "probewatch_cases_open 1.0" in text
    assert "secret" not in text
    assert "somebody" not in text
