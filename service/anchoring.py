"""Keeping the head of the audit's chain where the database's owner cannot reach it.

Whoever can write the database can make the whole chain anew; against heads that were
kept elsewhere that shows. Targets are independent: one that is down or stalls holds up
no other, and no answer, because anchoring says nothing about whether text may leave.
A failure is counted and logged, and the next one is tried when its time has come.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Protocol

import httpx2
from anyio.to_thread import run_sync

from service.metrics import Metrics
from service.settings import Settings
from service.store.anchors import Anchor
from service.store.errors import StoreError

log = logging.getLogger(__name__)

_PRIVATE = 0o600
_AUDIT_NOTICE = 13 * 8 + 5
"""Syslog's priority: facility "log audit", severity "notice"."""


class NotKept(Exception):
    """A target did not take an anchor; says why, without the target's secrets."""


class Target(Protocol):
    """A place outside the database."""

    kind: str
    """Its kind, as metrics name it."""

    def keep(self, anchor: Anchor) -> None:
        """Put an anchor there.

        Raises:
            NotKept: it is not there.
        """


class FileTarget:
    """A file that only grows, one line of JSON per anchor, on the disk when `keep` returns."""

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, anchor: Anchor) -> None:
        """See `Target.keep`. A line that a power cut broke off is left alone and ended."""
        line = anchor.as_line().encode() + b"\n"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, _PRIVATE)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                if os.write(descriptor, line) != len(line):
                    raise NotKept(f"only a part of it was written to {self._path}; free space")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if not size:
                _sync_directory(self._path.parent)
        except OSError as error:
            raise NotKept(f"{self._path} cannot be written ({error.strerror})") from None


class SyslogTarget:
    """The system's log, by its local socket or by UDP, which tells nobody what is lost."""

    kind = "syslog"

    def __init__(self, address: str) -> None:
        self._address = address

    def keep(self, anchor: Anchor) -> None:
        """See `Target.keep`."""
        message = f"<{_AUDIT_NOTICE}>probewatch: {anchor.as_line()}".encode()
        try:
            with closing(self._connected()) as out:
                out.send(message)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise NotKept(f"{self._address} takes no messages ({reason})") from None

    def _connected(self) -> socket.socket:
        place: Any = self._address
        family = socket.AF_UNIX
        if not self._address.startswith("/"):
            host, _, port = self._address.rpartition(":")
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
            family, place = found[0][0], found[0][4]
        out = socket.socket(family, socket.SOCK_DGRAM)
        try:
            out.connect(place)
        except OSError:
            out.close()
            raise
        return out


class WebhookTarget:
    """A POST of the anchor's JSON; whatever is not 2xx is a refusal. Its URL may be a secret."""

    kind = "webhook"

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds

    def keep(self, anchor: Anchor) -> None:
        """See `Target.keep`."""
        headers = {"content-type": "application/json"}
        try:
            reply = httpx2.post(
                self._url,
                content=anchor.as_line(),
                headers=headers,
                timeout=self._timeout_seconds,
                follow_redirects=False,
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise NotKept(f"it cannot be reached ({type(error).__name__})") from None
        if not reply.is_success:
            raise NotKept(f"it answered {reply.status_code}, where 2xx was expected")


def targets_of(settings: Settings) -> tuple[Target, ...]:
    """The places that the settings name."""
    found: list[Target] = []
    if settings.audit_anchor_file:
        found.append(FileTarget(Path(settings.audit_anchor_file)))
    if settings.audit_anchor_syslog:
        found.append(SyslogTarget(settings.audit_anchor_syslog))
    url = settings.audit_anchor_webhook.get_secret_value()
    if url:
        timeout_seconds = settings.audit_anchor_timeout_seconds
        found.append(WebhookTarget(url, timeout_seconds=timeout_seconds))
    return tuple(found)


class Anchoring:
    """Anchors the head to every target at once and then again and again, while the service runs."""

    def __init__(
        self,
        head: Callable[[], Anchor],
        targets: Sequence[Target],
        metrics: Metrics,
        *,
        every_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._head, self._targets = head, targets
        self._counter = metrics.anchors
        self._every_seconds, self._timeout_seconds = every_seconds, timeout_seconds
        for target in targets:
            for outcome in ("kept", "failed"):
                self._counter.labels(target.kind, outcome)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Anchor until the block ends; what is under way then is left to its end."""
        tasks = [asyncio.create_task(self._repeat(target)) for target in self._targets]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, target: Target) -> None:
        """One thread per target at most: one that hangs fails every turn and holds up no other."""
        under_way: asyncio.Task[None] | None = None
        try:
            while True:
                if under_way is None or under_way.done():
                    work = run_sync(self._keep, target, abandon_on_cancel=True)
                    under_way = asyncio.create_task(work)
                done, _ = await asyncio.wait({under_way}, timeout=self._timeout_seconds)
                self._count(target, under_way.exception() if done else TimeoutError())
                await asyncio.sleep(self._every_seconds)
        finally:
            if under_way is not None:
                under_way.cancel()

    def _count(self, target: Target, fault: BaseException | None) -> None:
        self._counter.labels(target.kind, "failed" if fault else "kept").inc()
        if isinstance(fault, TimeoutError):
            why = f"it took longer than {self._timeout_seconds:g} s"
        elif isinstance(fault, NotKept | StoreError):
            why = str(fault)
        elif fault is not None:
            why = type(fault).__name__  # nobody foresaw it: its message can hold secrets
        else:
            return
        log.error("the audit's head was not anchored to the %s: %s", target.kind, why)

    def _keep(self, target: Target) -> None:
        target.keep(self._head())


def _sync_directory(path: Path) -> None:
    """A new file's name is on the disk only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
