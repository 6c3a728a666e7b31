"""The only code that releases text to a client.

An answer is a stream of steps. Under release rule `scored` a step's text goes
out when its own score is in and the decision is `pass`, or `flag` with the flag
durable in the review store. Everything else is withheld: a missing score, one
that is not finite, an engine that fails, dies or hangs, a store that cannot
commit. Withholding is the way out that needs no case; releasing is the case.

Architecture invariant: a run is awaited by a supervised task, never by a
response's generator, so its record is written when the client is gone too.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from probing.errors import ProbingError, PromptTooLong
from probing.policy import Decision
from service.domain import utc_now
from service.engines.protocol import (
    Engine,
    EngineFailure,
    FinishReason,
    QueueFull,
    RequestRefused,
    Step,
    Stream,
)
from service.ledger import Answer, Ledger, Order
from service.metrics import Metrics
from service.patience import Patience
from service.readiness import Readiness
from service.reasons import Unscored, Withheld
from service.store.errors import StoreError
from service.store.review import ReviewStore

log = logging.getLogger(__name__)

T = TypeVar("T")

Release = Callable[[str], Awaitable[None]]
"""Sends text on its way to the client. Called by the gate and by nothing else."""

NEVER_BEGUN = (QueueFull, RequestRefused, PromptTooLong)
"""What `Engine.submit` raises for a request that is turned away before it is one."""


class Gate:
    """Opens one run per answer, all under the same rules."""

    def __init__(
        self,
        *,
        engine: Engine,
        store: ReviewStore,
        metrics: Metrics,
        readiness: Readiness,
        step_timeout_seconds: float,
        store_timeout_seconds: float,
    ) -> None:
        self.engine = engine
        self.store = store
        self.metrics = metrics
        self.readiness = readiness
        self.step_timeout_seconds = step_timeout_seconds
        self.store_timeout_seconds = store_timeout_seconds

    async def durably(self, kind: str, write: Callable[..., T], *facts: object) -> T:
        """Return once the store has committed, without holding up other streams.

        Raises:
            StoreError: it could not, or not in time.
        """
        with self.metrics.commit_seconds.labels(kind).time():
            async with asyncio.timeout(self.store_timeout_seconds):
                return await asyncio.to_thread(write, *facts)


class Run:
    """One answer on its way through the gate."""

    def __init__(self, gate: Gate, order: Order) -> None:
        self._gate = gate
        self._order = order
        self._ledger = Ledger(order, gate.engine.card)
        self._stream: Stream | None = None
        self._sending: Patience | None = None
        self._cancelled: Unscored | None = None
        self._flagged = False
        self._released_at = [order.arrived_seconds]

    def cancel(self, reason: Unscored) -> None:
        """Stop before the next step; `answer` then ends as unscored with this reason."""
        self._cancelled = self._cancelled or reason
        if self._stream is not None:
            self._stream.cancel()
        if self._sending is not None:
            self._sending.break_off()

    async def answer(self, release: Release) -> Answer:
        """Pass on what may go out; return when all of it is scored and on record.

        Raises:
            QueueFull, RequestRefused, PromptTooLong: the engine took nothing; nothing to record.
            Withheld: the answer ended unscored. That is on record and counted.
        """
        try:
            finish_reason = await self._relay(release)
            await self._file(None)
        except Exception as fault:
            if self._stream is None and isinstance(fault, NEVER_BEGUN):
                raise
            raise await self._fail(fault) from fault
        self._gate.metrics.finished.labels(finish_reason).inc()
        self._gate.readiness.succeeded()
        self._count(None)
        return self._ledger.answer(finish_reason)

    async def _relay(self, release: Release) -> FinishReason:
        if self._cancelled:
            raise Withheld(self._cancelled)
        stream = self._stream = self._gate.engine.submit(self._order.request)
        with Patience(self._gate.step_timeout_seconds) as patience:
            while True:
                step = await self._next(stream, patience)
                text = await self._cleared(step)
                if text:
                    self._released_at.append(time.monotonic())
                    await self._send(release(text), patience)
                if step.decision is Decision.HALT:
                    stream.cancel()
                    return "content_filter"
                if step.finish_reason is not None:
                    return step.finish_reason

    async def _next(self, stream: Stream, patience: Patience) -> Step:
        """The next step, or a failure when none comes in time while others could have."""
        while True:
            try:
                return await patience.wait(anext(stream))
            except TimeoutError:
                health = self._gate.engine.health()
                queued = self._ledger.scored == 0 and health.waiting + health.reading > 0
                moving = health.last_step_age_seconds < self._gate.step_timeout_seconds
                if not (queued and health.alive and moving):
                    raise Withheld(Unscored.STEP_TIMEOUT) from None

    async def _send(self, sending: Awaitable[None], patience: Patience) -> None:
        """Hand text over; a client that takes nothing for so long has gone."""
        self._sending = patience
        try:
            await patience.wait(sending)
        except TimeoutError:
            raise Withheld(Unscored.CLIENT_DISCONNECTED) from None
        finally:
            self._sending = None

    async def _cleared(self, step: Step) -> str:
        """The part of a step's text that may leave now."""
        if step.scores is None:
            return self._cleared_unscored(step)
        ledger = self._ledger
        ledger.fold_in(step)
        if step.decision in (Decision.FLAG, Decision.HALT) and not self._flagged:
            await self._commit_flag()
        if step.decision is Decision.PASS or (step.decision is Decision.FLAG and self._flagged):
            return ledger.release(step)
        if step.decision is not Decision.HALT:
            raise Withheld(Unscored.UNKNOWN_DECISION)
        return ""

    def _cleared_unscored(self, step: Step) -> str:
        """An empty answer has no score; beyond that only `immediate` lets out a token without."""
        if not step.text and step.finish_reason == "stop":
            return ""
        if not self._order.request.early:
            raise Withheld(Unscored.UNSCORED_STEP)
        return self._ledger.release_early(step)

    async def _commit_flag(self) -> None:
        flag = self._ledger.flag(f"flag-{uuid.uuid4().hex}", utc_now())
        await self._gate.durably("flag", self._gate.store.commit_flag, flag)
        self._flagged = True
        self._gate.metrics.flags.labels(flag.probe, flag.decision.word).inc()

    async def _file(self, reason: Unscored | None) -> None:
        """Complete the case with what was read after its flag, and record how it ended."""
        ledger, store = self._ledger, self._gate.store
        if self._flagged:
            facts = self._order.request.id, ledger.text, ledger.tokens()
            await self._gate.durably("flag", store.extend_flag, *facts)
        await self._gate.durably("record", store.record_request, ledger.record(reason))

    async def _fail(self, fault: Exception) -> Withheld:
        """Stop the stream and put on record that and why it ended unscored."""
        reason = self._cancelled or _reason_of(fault)
        if self._stream is not None:
            self._stream.cancel()
        if reason.is_failure:
            self._gate.metrics.failures.labels(reason.value).inc()
            log.error("answer %s withheld: %s: %s", self._order.request.id, reason, place_of(fault))
        self._gate.readiness.failed(reason)
        self._count(reason)
        try:
            await self._file(reason)
        except (StoreError, TimeoutError) as trouble:
            log.error("answer %s is counted, not recorded: %s", self._order.request.id, trouble)
        return Withheld(reason)

    def _count(self, reason: Unscored | None) -> None:
        metrics = self._gate.metrics
        metrics.latency.observe(time.monotonic() - self._order.arrived_seconds)
        metrics.observe_releases(self._released_at)
        prompt_tokens = len(self._order.request.prompt_ids)
        metrics.count_answer(
            self._ledger.record(reason),
            self._ledger.card,
            prompt_tokens=prompt_tokens,
            tripped=self._ledger.tripped,
        )


def _reason_of(fault: Exception) -> Unscored:
    match fault:
        case Withheld():
            return fault.reason
        case EngineFailure(code=code) if code in _ENGINE_REASONS:
            return _ENGINE_REASONS[code]
        case EngineFailure() | StopAsyncIteration():
            return Unscored.ENGINE_FAILURE
        case ProbingError():
            return Unscored.MONITOR_ERROR
        case StoreError() | TimeoutError():
            return Unscored.STORE_UNAVAILABLE
        case ConnectionError():
            return Unscored.CLIENT_DISCONNECTED
        case _:
            return Unscored.INTERNAL_ERROR


_ENGINE_REASONS = {
    "monitor_error": Unscored.MONITOR_ERROR,
    "engine_dead": Unscored.ENGINE_DEAD,
    "draining": Unscored.SHUTDOWN,
}


def place_of(fault: BaseException) -> str:
    """What failed and where, without the message: it could quote the text being handled."""
    cause = fault.__cause__ or fault
    frames = traceback.extract_tb(cause.__traceback__)
    where = f"{frames[-1].name} line {frames[-1].lineno}" if frames else "unknown place"
    return f"{type(cause).__name__} in {where}"
