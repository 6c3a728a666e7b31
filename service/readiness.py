"""Whether this instance may be sent requests, and if not, why.

Readiness is about scoring and keeping records, not about the process: an
instance that answers but cannot score, or cannot commit a flag, is red.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from service.engines.protocol import Engine
from service.reasons import Unscored


class Readiness:
    """Gathers what the gate and the engine know; the store is asked by whoever asks this."""

    def __init__(
        self,
        engine: Engine,
        *,
        step_timeout_seconds: float,
        unready_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._step_timeout_seconds = step_timeout_seconds
        self._unready_seconds = unready_seconds
        self._clock = clock
        self._failure: Unscored | None = None
        self._failed_at = 0.0
        self.draining = False

    def failed(self, reason: Unscored) -> None:
        """An answer ended unscored; red for a while if scoring itself is in doubt."""
        if reason.is_failure:
            self._failure, self._failed_at = reason, self._clock()

    def succeeded(self) -> None:
        """An answer was scored to its end, so whatever was in doubt works again."""
        self._failure = None

    def reasons(self) -> list[str]:
        """Why not to send requests here, as bounded words; empty when ready.

        After a failure that no success followed it is red for `unready_seconds`
        and then green again: an instance out of rotation would otherwise never
        get the request that proves it sound.
        """
        health = self._engine.health()
        found = []
        if self.draining:
            found.append(Unscored.SHUTDOWN.value)
        if not health.alive:
            found.append(Unscored.ENGINE_DEAD.value)
        elif health.running and health.last_step_age_seconds > self._step_timeout_seconds:
            found.append(Unscored.STEP_TIMEOUT.value)
        if self._failure and self._clock() - self._failed_at < self._unready_seconds:
            found.append(self._failure.value)
        return list(dict.fromkeys(found))
