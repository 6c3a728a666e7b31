"""Asking the store without waiting for ever, and without asking the same thing all the time.

Reads run in threads of their own, apart from those in which flags are committed: a
page of cases that takes long must not hold up an answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import anyio
from anyio.to_thread import run_sync

from service.store.errors import StoreError, StoreUnavailable

T = TypeVar("T")

REMEMBERED_SECONDS = 1.0
"""How long a health check's answer stands, however many ask."""


async def in_time(timeout_seconds: float, read: Callable[..., T], *facts: object) -> T:
    """What `read` returns from its thread.

    Raises:
        StoreUnavailable: it took longer than `timeout_seconds`; the thread is left to its end.
    """
    try:
        with anyio.fail_after(timeout_seconds):
            return await run_sync(partial(read, *facts), abandon_on_cancel=True)
    except TimeoutError:
        raise StoreUnavailable(
            "of this service",
            "timeout",
            "it did not answer in time",
            "look for long queries or a stalled disk",
        ) from None


class Remembered(Generic[T]):
    """One question to the store, asked by one thread at a time and about once a second.

    Health checks are open to everybody: without this each would be a commit, and each
    that hangs would hold one thread more.
    """

    def __init__(
        self,
        ask: Callable[[], T],
        *,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._asking: asyncio.Task[T | None] | None = None
        self._stale_at = 0.0
        self.latest: T | None = None
        """What was last answered; None while the store fails or is late."""

    async def answer(self) -> T | None:
        """What the store says, at most a second old; None when it failed or is late."""
        asking = self._asking
        if asking is None or (asking.done() and self._clock() >= self._stale_at):
            asking = self._asking = asyncio.create_task(self._ask_now())
        done, _ = await asyncio.wait({asking}, timeout=self._timeout_seconds)
        self.latest = asking.result() if done else None
        return self.latest

    async def _ask_now(self) -> T | None:
        try:
            return await run_sync(self._ask)
        except StoreError:
            return None
        finally:
            self._stale_at = self._clock() + REMEMBERED_SECONDS
