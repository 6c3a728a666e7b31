"""Who waits, who is being read in, who runs in which row.

The only place that maps rows of the batch and of the monitor to requests. Requests
come in from event loops; everything else is called by the engine's thread alone.
This module imports no torch.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from service.engines.answers import Answer
from service.engines.protocol import EngineFailure, QueueFull

_RATE_MEMORY = 16
"""Answers over whose ends the rate is taken that a refused client is told to wait by."""
RETRY_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an engine takes on."""

    rows_max: int = 32
    """Answers that are generated at the same time."""
    waiting_max: int = 256
    """Requests that wait for a row; more are refused."""
    chunk_tokens: int = 256
    """Prompt tokens that are read between two steps, so that running answers wait no longer."""
    idle_chunk_tokens: int = 1024
    """The same while no answer is running."""


class Scheduler:
    """Queue, admission, and the rows of the batch."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.running: list[Answer] = []
        """In the order of the batch's rows."""
        self.filling: list[Answer] = []
        """Whose prompts are being read, the longest first."""
        self.refusal: EngineFailure | None = EngineFailure("engine_dead", "it was not started")
        """Why nothing is taken, or None."""
        self._waiting: deque[Answer] = deque()
        self._changed = threading.Condition()
        self._cancelled = False
        self._woken = False
        self._ends: deque[float] = deque(maxlen=_RATE_MEMORY)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        # In the order in which requests move on, so that none slips through between two looks.
        return bool(self._waiting or self.filling or self.running)

    def submit(self, answer: Answer) -> None:
        """Queue a request, from any thread.

        Raises:
            QueueFull: as many wait as may.
            EngineFailure: nothing is taken any more.
        """
        with self._changed:
            if self.refusal is not None:
                raise EngineFailure(self.refusal.code, str(self.refusal))
            if len(self._waiting) >= self.limits.waiting_max:
                raise QueueFull(self._retry_seconds())
            self._waiting.append(answer)
            self._changed.notify()

    def note_cancel(self) -> None:
        """Have the next step look for cancelled streams; from any thread."""
        with self._changed:
            self._cancelled = True
            self._changed.notify()

    def wake(self) -> None:
        """Have `wait_for_work` return, the next time if nobody waits; from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def wait_for_work(self) -> None:
        """Sleep until there is a request, a cancel or a wake."""
        with self._changed:
            while not (self.busy or self._cancelled or self._woken):
                self._changed.wait()
            self._woken = False

    def drop_cancelled(self) -> list[int]:
        """Forget cancelled requests.

        Returns:
            The batch's rows that are free now, the highest first.
        """
        with self._changed:
            if not self._cancelled:
                return []
            # Those being read in join a row first; then this finds them.
            self._cancelled = any(a.stream.cancelled for a in self.filling)
            self._waiting = deque(a for a in self._waiting if not a.stream.cancelled)
        return self.leave([i for i, a in enumerate(self.running) if a.stream.cancelled])

    def admit(self) -> list[Answer]:
        """Choose whose prompts are read next; they become `filling`.

        The one that waited longest, and with it those that cost no more chunks than it
        does, as far as there are rows.
        """
        with self._changed:
            free = self.limits.rows_max - len(self.running)
            if self.filling or not self._waiting or not free:
                return []
            length_max = max(len(self._waiting[0].request.prompt_ids), self.limits.chunk_tokens)
            chosen: list[Answer] = []
            left: deque[Answer] = deque()
            for answer in self._waiting:
                fits = len(answer.request.prompt_ids) <= length_max
                (chosen if fits and len(chosen) < free else left).append(answer)
            chosen.sort(key=lambda answer: -len(answer.request.prompt_ids))
            self.filling = chosen
            self._waiting = left
        return chosen

    def join(self) -> None:
        """Those whose prompts were read take the next rows of the batch, in order."""
        self.running += self.filling
        self.filling = []

    def abandon(self) -> None:
        """Forget those whose prompts are being read."""
        self.filling = []

    def leave(self, rows: list[int]) -> list[int]:
        """Free rows; each time the last one takes the free place.

        Returns:
            The same rows, the highest first, for batch and monitor to follow.
        """
        rows = sorted(rows, reverse=True)
        for row in rows:
            self.running[row] = self.running[-1]
            self.running.pop()
            self._ends.append(time.monotonic())
        return rows

    def everyone(self) -> list[Answer]:
        """Take all requests out, in whatever state they are."""
        with self._changed:
            all_of_them = [*self.running, *self.filling, *self._waiting]
            self._waiting.clear()
        self.running, self.filling = [], []
        return all_of_them

    def open(self) -> None:
        """Take requests from now on."""
        with self._changed:
            self.refusal = None

    def refuse(self, failure: EngineFailure) -> None:
        """Take no more requests, for this reason."""
        with self._changed:
            self.refusal = failure

    def _retry_seconds(self) -> float:
        """When a place in the queue may be free, by the rate at which answers ended of late."""
        if len(self._ends) < 2:
            return 1.0
        span = time.monotonic() - self._ends[0]
        return min(RETRY_SECONDS_MAX, max(1.0, span / len(self._ends)))
