"""A fake engine that says so: it plays a script instead of running a model.

It stands in where a real engine cannot be made to fail on cue: hang at a token,
die, hand out a NaN or a token without a score. Everything else is tested with
the real local engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probing.policy import Action, Decision
from service.engines.protocol import (
    EngineCard,
    EngineFailure,
    EngineHealth,
    GenerationRequest,
    QueueFull,
    Step,
    StepStats,
)

CARD = EngineCard(
    model_name="scripted",
    context=64,
    fingerprint="0123456789ab",
    probe_set="abcdefabcdef",
    probes=("petty", "shadow"),
    versions=("1", "2"),
    thresholds=(0.5, 0.5),
    deciding=(True, False),
)
BELOW, ABOVE = -2.0, 2.0


def script(*texts: str, above: int | None = None) -> list[Step]:
    """One scored step per text; from position `above` on, probe `petty` stands over its bar."""
    steps = []
    for at, text in enumerate(texts):
        over = above is not None and at >= above
        scores = np.array([ABOVE if over else BELOW, BELOW], np.float32)
        last = at + 1 == len(texts)
        steps.append(
            Step(
                position=at,
                token_id=at,
                text=text,
                scores=scores,
                statistics=scores,
                peaks=scores,
                tripped=scores >= 0.5,
                decision=Decision.FLAG if over else Decision.PASS,
                finish_reason="stop" if last else None,
            )
        )
    return steps


@dataclass(kw_only=True)
class ScriptedEngine:
    """Plays `steps` for every request, with what a request's action makes of a crossing."""

    steps: Sequence[Step | Exception] = field(default_factory=list)
    hang: bool = False
    alive: bool = True
    full: bool = False
    reading: int = 0
    still: bool = False
    pause_seconds: float = 0.0
    card: EngineCard = CARD
    requests: list[GenerationRequest] = field(default_factory=list)
    streams: list[ScriptedStream] = field(default_factory=list)
    prompts: list[object] = field(default_factory=list)

    def start(self) -> None: ...

    def submit(self, request: GenerationRequest) -> ScriptedStream:
        if self.full:
            raise QueueFull(2.5)
        if not self.alive:
            raise EngineFailure("engine_dead", "the engine's thread has died")
        self.requests.append(request)
        self.streams.append(ScriptedStream(self, request))
        return self.streams[-1]

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
        self.prompts.append(messages)
        return tuple(range(sum(len(message["content"].split()) for message in messages)))

    def render_text(self, text: str) -> tuple[int, ...]:
        self.prompts.append(text)
        return tuple(range(len(text.split())))

    def health(self) -> EngineHealth:
        running = sum(not stream.ended for stream in self.streams)
        age = 99.0 if self.still or (self.hang and running and not self.reading) else 0.0
        return EngineHealth(
            alive=self.alive,
            last_step_age_seconds=age,
            reading=self.reading,
            running=running,
            waiting=0,
            reason=None,
        )

    def step_stats(self) -> StepStats:
        return StepStats(
            steps=3,
            tokens=4,
            step_seconds=0.5,
            score_seconds=0.25,
            prefill_chunks=1,
            prefill_tokens=8,
            prefill_seconds=0.125,
            cache_bytes=0,
            cache_tokens=0,
        )

    async def drain(self, timeout_seconds: float) -> None: ...

    def close(self) -> None: ...


class ScriptedStream:
    """One playing of the script."""

    def __init__(self, engine: ScriptedEngine, request: GenerationRequest) -> None:
        self._engine = engine
        self._request = request
        self._left = list(engine.steps)
        self._cancelled = asyncio.Event()
        self.handed_out = 0
        self.ended = False

    def __aiter__(self) -> ScriptedStream:
        return self

    async def __anext__(self) -> Step:
        if self._engine.hang and not self._left:
            await self._cancelled.wait()
        if self._engine.pause_seconds and not self._cancelled.is_set():
            await asyncio.sleep(self._engine.pause_seconds)
        if self._cancelled.is_set():
            self.ended = True
            raise EngineFailure("cancelled", "the request was cancelled")
        if not self._left:
            raise StopAsyncIteration
        step = self._left.pop(0)
        if isinstance(step, Exception):
            self.ended = True
            raise step
        self.handed_out += 1
        return self._under_policy(step)

    def cancel(self) -> None:
        self._cancelled.set()

    def _under_policy(self, step: Step) -> Step:
        if step.decision is Decision.FLAG and self._request.action is Action.OBSERVE:
            step = replace(step, decision=Decision.PASS)
        if step.decision is Decision.FLAG and self._request.action is Action.HALT:
            step = replace(step, decision=Decision.HALT, finish_reason="content_filter")
        self.ended = step.finish_reason is not None
        return step
