"""A time limit on waiting that costs nothing while the wait is short.

`asyncio.timeout` arms and disarms a timer for every wait, which is paid for
every token of every stream. This arms one timer per stretch of patience; when it
fires it looks how long the present wait has lasted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Breaks off waits of the task that entered it, each after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._broken = False

    def __enter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "waiting happens in tasks"
        self._task = task
        self._timer = self._loop.call_later(self._seconds, self._look)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    async def wait(self, awaited: Awaitable[T]) -> T:
        """The result of `awaited`.

        Raises:
            TimeoutError: it took longer than `seconds`, and was cancelled.
        """
        self._since = self._loop.time()
        try:
            return await awaited
        except asyncio.CancelledError:
            if not self._broken:
                raise
            self._broken = False
            self._task.uncancel()
            raise TimeoutError from None
        finally:
            self._since = None

    def break_off(self) -> None:
        """End the wait that is going on, if there is one, as if its time were up.

        What is waited for may ask for this itself: it is running then, and nothing waits.
        """
        if self._since is not None and asyncio.current_task() is not self._task:
            self._broken = True
            self._task.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        left = self._seconds if self._since is None else self._since + self._seconds - now
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
            return
        self._timer = self._loop.call_later(self._seconds, self._look)
        self.break_off()
