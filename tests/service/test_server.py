"""Shutdown on a signal, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from service.server import PortTaken, address_of, listening_socket
from service.settings import Settings
from service.store.opening import open_store
from tests.service.serving import MESSAGE

PROGRAM = """
import sys
from prometheus_client import CollectorRegistry
from service.app import create_app
from service.server import DrainingServer, address_of, listening_socket
from service.settings import Settings
from service.store.opening import open_store
from tests.service.scripted import ScriptedEngine, script

settings = Settings(port=0, drain_timeout_seconds=float(sys.argv[2]))
with open_store(f"sqlite:///{sys.argv[1]}") as store, listening_socket(settings) as listener:
    engine = ScriptedEngine(steps=script(*"0123456789"), pause_seconds=0.2)
    app = create_app(settings, engine, store, CollectorRegistry())
    print(address_of(listener), flush=True)
    DrainingServer(app, settings).run(sockets=[listener])
"""


@contextmanager
def process(database: Path, drain_seconds: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(database), str(drain_seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        _wait_until_ready(url)
        yield running, url
    finally:
        running.kill()
        running.wait()


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx2.get(f"{url}/readyz", timeout=60).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline, "the service did not become ready"
        time.sleep(0.05)


BODY = {"model": "scripted", "messages": [MESSAGE], "stream": True}


def test_sigterm_lets_running_answers_end_and_turns_new_ones_away(tmp_path: Path) -> None:
    with process(tmp_path / "review.db", 30) as (running, url):
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=BODY, timeout=60) as response:
            parts = response.iter_text()
            text = next(parts)
            running.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            ready = httpx2.get(f"{url}/readyz", timeout=60)
            refused = httpx2.post(f"{url}/v1/chat/completions", json=BODY, timeout=60)
            text += "".join(parts)

        status = running.wait(timeout=60)

    assert text.endswith("data: [DONE]\n\n")
    assert '"finish_reason":"stop"' in text
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["shutdown"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutdown")
    assert status == 0


def test_answers_that_outlast_the_drain_are_cut_and_recorded(tmp_path: Path) -> None:
    database = tmp_path / "review.db"
    with process(database, 0.1) as (running, url):
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=BODY, timeout=60) as response:
            parts = response.iter_text()
            text = next(parts)
            running.send_signal(signal.SIGTERM)
            text += "".join(parts)
            request_id = response.headers["x-request-id"]
        status = running.wait(timeout=60)

    with open_store(f"sqlite:///{database}") as store:
        record = store.request(request_id)
    assert record is not None
    assert (record.outcome, record.reason) == ("unscored", "shutdown")
    assert '"code":"shutdown"' in text
    assert text.endswith("data: [DONE]\n\n")
    assert status == 0


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with listening_socket(Settings(port=0)) as first:
        port = int(address_of(first).rpartition(":")[2])

        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}: .* --port"):
            listening_socket(Settings(port=port))
