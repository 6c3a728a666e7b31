"""The chain's head gets out of the database, or it is counted and logged that it did not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.anchoring import (
    Anchoring,
    FileTarget,
    NotKept,
    SyslogTarget,
    Target,
    WebhookTarget,
    targets_of,
)
from service.metrics import Metrics
from service.settings import Settings
from service.store.anchors import Anchor, read_anchors
from service.store.errors import DamagedRow
from service.store.review import ReviewStore
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import eventually, serving

ANCHOR = Anchor(at=datetime(2026, 11, 27, 12, tzinfo=UTC), length=17, hash="ab" * 32)


class Hook:
    """A webhook on loopback that remembers what it was sent."""

    def __init__(self, status: int) -> None:
        self.bodies: list[dict[str, object]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                hook.bodies.append(json.loads(self.rfile.read(length)))
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/secret-token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def webhook(status: int) -> Iterator[Hook]:
    hook = Hook(status)
    yield hook
    hook.close()


def test_a_file_only_grows(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "anchors.jsonl")
    later = Anchor(at=ANCHOR.at, length=18, hash="cd" * 32)

    target.keep(ANCHOR)
    target.keep(later)

    assert read_anchors(tmp_path / "anchors.jsonl").anchors == (ANCHOR, later)
    assert (tmp_path / "anchors.jsonl").stat().st_mode & 0o777 == 0o600


def test_an_anchor_in_a_file_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is only in the machine's memory is lost together with what it should prove."""
    synced: list[str] = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)

    FileTarget(tmp_path / "anchors.jsonl").keep(ANCHOR)

    assert synced == [str(tmp_path / "anchors.jsonl"), str(tmp_path)]


def test_a_line_that_was_broken_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    path.write_text(ANCHOR.as_line()[:30])

    FileTarget(path).keep(ANCHOR)

    assert read_anchors(path).anchors == (ANCHOR,)


def test_a_disk_that_takes_half_a_line_has_not_kept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, line: len(line) // 2)

    with pytest.raises(NotKept, match="only a part"):
        FileTarget(tmp_path / "anchors.jsonl").keep(ANCHOR)


def test_a_missing_directory_is_told_and_not_made(tmp_path: Path) -> None:
    """A lost mount that is replaced by a directory would keep anchors beside the database."""
    with pytest.raises(NotKept, match="No such file"):
        FileTarget(tmp_path / "mount" / "anchors.jsonl").keep(ANCHOR)

    assert not (tmp_path / "mount").exists()


@pytest.mark.parametrize("local", [True, False])
def test_syslog_gets_one_message_that_can_be_read_back(tmp_path: Path, local: bool) -> None:
    family = socket.AF_UNIX if local else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log") if local else ("127.0.0.1", 0))
        log.settimeout(10)
        address = str(tmp_path / "log") if local else f"127.0.0.1:{log.getsockname()[1]}"

        SyslogTarget(address).keep(ANCHOR)
        message = log.recv(4096).decode()

    assert message.startswith("<109>probewatch: {")
    (tmp_path / "messages").write_text(f"Nov 27 12:00:00 gateway {message}\n")
    assert read_anchors(tmp_path / "messages").anchors == (ANCHOR,)


@pytest.mark.parametrize("address", ["/nowhere/log", "no.such.host.invalid:514"])
def test_a_log_that_is_not_there_is_told(address: str) -> None:
    with pytest.raises(NotKept, match="takes no messages"):
        SyslogTarget(address).keep(ANCHOR)


def test_a_webhook_gets_the_line_of_the_file() -> None:
    with webhook(204) as hook:
        WebhookTarget(hook.url, timeout_seconds=10).keep(ANCHOR)

    assert hook.bodies == [json.loads(ANCHOR.as_line())]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_say_2xx_has_not_kept_it(status: int) -> None:
    with webhook(status) as hook, pytest.raises(NotKept, match=f"answered {status}") as told:
        WebhookTarget(hook.url, timeout_seconds=10).keep(ANCHOR)

    assert len(hook.bodies) == 1
    assert "secret-token" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/secret-token", "http://127.0.0.1:port/secret-token"]
)
def test_a_webhook_out_of_reach_is_told_without_its_url(url: str) -> None:
    with pytest.raises(NotKept, match="cannot be reached") as told:
        WebhookTarget(url, timeout_seconds=10).keep(ANCHOR)

    assert "secret-token" not in str(told.value)


def test_a_webhook_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = WebhookTarget(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_seconds=0.1)

        with pytest.raises(NotKept, match="Timeout"):
            target.keep(ANCHOR)


def test_the_settings_name_the_targets() -> None:
    settings = Settings(
        audit_anchor_file="x", audit_anchor_syslog="/dev/log", audit_anchor_webhook="http://h/"
    )

    assert [target.kind for target in targets_of(settings)] == ["file", "syslog", "webhook"]
    assert targets_of(Settings()) == ()


class Scripted:
    """A target that does what a test says, turn by turn, and then keeps."""

    kind = "file"

    def __init__(self, *turns: Exception) -> None:
        self.turns = list(turns)
        self.kept = 0

    def keep(self, anchor: Anchor) -> None:
        if self.turns:
            raise self.turns.pop(0)
        self.kept += 1


def anchor_for_a_while(target: Target, *others: Target, timeout_seconds: float = 5) -> Metrics:
    """Anchor every millisecond until the first target was kept twice."""
    metrics = Metrics(CollectorRegistry())
    anchoring = Anchoring(
        lambda: ANCHOR,
        (target, *others),
        metrics,
        every_seconds=0.001,
        timeout_seconds=timeout_seconds,
    )

    async def run() -> None:
        async with anchoring.running(), asyncio.timeout(20):
            while count(metrics, target.kind, "kept") < 2:
                await asyncio.sleep(0.001)

    asyncio.run(run())
    return metrics


def count(metrics: Metrics, target: str, outcome: str) -> float:
    labels = {"target": target, "outcome": outcome}
    return metrics.registry.get_sample_value("probewatch_audit_anchors_total", labels) or 0.0


def test_it_is_done_again_and_again() -> None:
    target = Scripted()

    metrics = anchor_for_a_while(target)

    assert target.kept >= 2
    assert count(metrics, "file", "failed") == 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (NotKept("the disk is full"), "the disk is full"),
        (DamagedRow("the head", "its row is missing"), "cannot read the head from the store"),
        (ZeroDivisionError("secret-token"), "ZeroDivisionError"),
    ],
)
def test_a_failure_is_counted_and_logged_and_tried_again(
    caplog: pytest.LogCaptureFixture, fault: Exception, told: str
) -> None:
    """A loop that ends at its first failure would leave a chain unanchored for ever, in silence."""
    with caplog.at_level(logging.ERROR):
        metrics = anchor_for_a_while(Scripted(fault))

    assert count(metrics, "file", "failed") == 1
    assert f"was not anchored to the file: {told}" in caplog.text
    assert "secret-token" not in caplog.text


def test_a_target_that_hangs_fails_every_turn_and_holds_up_no_other() -> None:
    freed, entered = threading.Event(), []

    class Hanging(Scripted):
        kind = "webhook"

        def keep(self, anchor: Anchor) -> None:
            entered.append(1)
            freed.wait(20)

    class Slow(Scripted):
        def keep(self, anchor: Anchor) -> None:
            freed.wait(0.2)
            super().keep(anchor)

    try:
        metrics = anchor_for_a_while(Slow(), Hanging(), timeout_seconds=0.25)
        failed = count(metrics, "webhook", "failed")
    finally:
        freed.set()

    assert failed >= 1
    assert entered == [1], "every turn left one thread more behind"


def test_every_outcome_has_its_counter_from_the_start() -> None:
    """An alert on a rate sees nothing when a series appears together with its first count."""
    metrics = Metrics(CollectorRegistry())

    Anchoring(lambda: ANCHOR, (Scripted(),), metrics, every_seconds=1, timeout_seconds=1)

    labels = {"target": "file", "outcome": "failed"}
    value = metrics.registry.get_sample_value("probewatch_audit_anchors_total", labels)
    assert value == 0.0


def test_the_service_anchors_when_it_starts(store: ReviewStore, tmp_path: Path) -> None:
    store.keys.create("ada", by="op")
    path = tmp_path / "anchors.jsonl"

    with serving(ScriptedEngine(), store, audit_anchor_file=str(path)):
        kept = eventually(lambda: path.exists() and read_anchors(path).anchors)

    assert store.audit.verify(kept).anchored == kept[0]
    assert kept[0].length == 1


def test_the_service_is_ready_and_answers_while_nothing_can_be_anchored(
    store: ReviewStore,
) -> None:
    """Text that was scored is no less scored because a log host is down."""
    engine = ScriptedEngine(steps=script("a"))
    with serving(engine, store, audit_anchor_file="/nowhere/anchors.jsonl") as served:
        labels = {"target": "file", "outcome": "failed"}
        eventually(lambda: served.count("probewatch_audit_anchors_total", **labels))

        assert served.client.get("/readyz").status_code == 200
        assert served.chat().status_code == 200
