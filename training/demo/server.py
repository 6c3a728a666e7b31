"""The demo's service: the real command line in a process of its own, on loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from probing.errors import ProbingError

BOOT_SECONDS_MAX = 90.0
"""A model is loaded and replays its golden readings in a few seconds; this is far beyond."""


class ServiceDidNotStart(ProbingError):
    """The demo's service ended, or was not ready in time."""

    code = "service_did_not_start"

    def __init__(self, log: Path) -> None:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"the service did not start: {last[0]}; its whole log is {log}")


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    """Where it listens."""
    process: subprocess.Popen[bytes]
    """Its process."""


@contextmanager
def running_service(*, store: Path, database: Path, log: Path) -> Iterator[Service]:
    """Start `probewatch serve`, wait until it is ready, and end it with SIGTERM afterwards.

    Raises:
        ServiceDidNotStart: it ended or was not ready in time; gives the last line of its log.
    """
    port = _free_port()
    command = [sys.executable, "-m", "probewatch", "serve", "--port", str(port)]
    command += ["--action", "observe", "--probe-store", str(store)]
    command += ["--database-url", f"sqlite:///{database}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    service = Service(f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_ready(service, log)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(service: Service, log: Path) -> None:
    deadline = time.monotonic() + BOOT_SECONDS_MAX
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if httpx2.get(f"{service.url}/readyz", timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pass  # not listening yet
        time.sleep(0.2)
    raise ServiceDidNotStart(log)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
