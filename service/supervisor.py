"""Tasks that outlive the connection they began for.

When a client leaves, its response is torn down wherever it stands; what has to
be on record is written by a task that nobody tears down. The supervisor holds
those tasks and ends with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from service.reasons import Unscored

T = TypeVar("T")

CUT_GRACE_SECONDS = 5.0
"""For what was cut to get on record; writing takes as long as the store allows."""


class Cancellable(Protocol):
    """What the supervisor can cut when time is up."""

    def cancel(self, reason: Unscored) -> None:
        """End soon, and say why on record."""
        ...


class Supervisor:
    """All answers under way, each with the runs that make it."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], tuple[Cancellable, ...]] = {}

    def start(self, work: Coroutine[Any, Any, T], runs: tuple[Cancellable, ...]) -> asyncio.Task[T]:
        """Run `work` to its end, whatever becomes of whoever asked for it."""
        task = asyncio.create_task(work)
        self._tasks[task] = runs
        task.add_done_callback(self._ended)
        return task

    @property
    def running(self) -> int:
        """How many answers are under way."""
        return len(self._tasks)

    async def drain(self, timeout_seconds: float) -> None:
        """Let everything end by itself for a time, then cut the rest and wait for its record."""
        await self._wait(timeout_seconds)
        for runs in self._tasks.values():
            for run in runs:
                run.cancel(Unscored.SHUTDOWN)
        await self._wait(CUT_GRACE_SECONDS)

    async def _wait(self, timeout_seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_seconds)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            task.exception()  # marks it as seen: the gate has counted and logged it
