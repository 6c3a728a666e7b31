"""Drive an engine as the gateway does, without HTTP, and note when each token came."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.rows import Figures
from probing.errors import ProbingError
from probing.policy import Action
from service.engines.local import LocalEngine
from service.engines.protocol import GenerationRequest, StepStats
from service.engines.streams import LocalStream

_POLL_SECONDS = 0.001

Prompts = Sequence[tuple[int, ...]]


class WrongLength(ProbingError):
    """A side generated another number of tokens than it was asked for, so rates don't compare."""

    code = "wrong_length"

    def __init__(self, side: str, asked: int, found: int) -> None:
        super().__init__(
            f"{side} generated {found} tokens and not {asked}; give it a model and settings "
            "without an end token"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """When the tokens of one run came out, in seconds since it was submitted."""

    scored: list[list[float]]
    """By stream: when each token came out scored."""
    early: list[list[float]]
    """By stream: when each token was handed out unscored; empty unless that was asked for."""

    @property
    def tokens_per_second(self) -> float:
        """Over all streams, from submitting to the last token; reading prompts included."""
        return sum(map(len, self.scored)) / max(times[-1] for times in self.scored)

    @property
    def gaps_ms(self) -> NDArray[np.float64]:
        """Milliseconds between neighbouring tokens, of all streams together."""
        return np.concatenate([np.diff(times) for times in self.scored]) * 1e3


class Driver:
    """Holds a started engine and the event loop that its streams belong to."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self._runner = asyncio.Runner()
        self._ids = itertools.count()
        self._counted = engine.step_stats()

    def __enter__(self) -> Self:
        self.engine.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.engine.close()
        self._runner.close()

    def answers(self, prompts: Prompts, tokens: int, *, early: bool = False) -> Timeline:
        """Generate `tokens` tokens to every prompt, all at the same time.

        Raises:
            WrongLength: an answer came out shorter.
        """
        timeline = self._runner.run(self._answers(prompts, tokens, early))
        for times in timeline.scored:
            if len(times) != tokens:
                raise WrongLength("the engine", tokens, len(times))
        return timeline

    def window(self, prompts: Prompts, steps: int) -> Window:
        """Let all prompts run, and look at so many steps in which all of them take part."""
        return self._runner.run(self._window(prompts, steps))

    async def _answers(self, prompts: Prompts, tokens: int, early: bool) -> Timeline:
        timeline = Timeline(scored=[[] for _ in prompts], early=[[] for _ in prompts])
        began = perf_counter()
        streams = [self._submit(prompt, tokens, early=early) for prompt in prompts]

        async def listen(index: int) -> None:
            scored, unscored = timeline.scored[index], timeline.early[index]
            async for step in streams[index]:
                (unscored if step.scores is None else scored).append(perf_counter() - began)

        await asyncio.gather(*map(listen, range(len(streams))))
        return timeline

    async def _window(self, prompts: Prompts, steps: int) -> Window:
        room = self.engine.card.context - max(map(len, prompts))
        streams = [self._submit(prompt, room) for prompt in prompts]
        for stream in streams:
            await anext(stream)
        before = after = self.engine.step_stats()
        while after.steps - before.steps < steps:  # some that are waited for were taken before
            await anext(streams[-1])
            after = self.engine.step_stats()
        for stream in streams:
            stream.cancel()
        while self.engine.health().running:
            await asyncio.sleep(_POLL_SECONDS)
        earlier, self._counted = self._counted, after
        return Window(earlier=earlier, before=before, after=after)

    def _submit(self, prompt: tuple[int, ...], tokens: int, *, early: bool = False) -> LocalStream:
        return self.engine.submit(
            GenerationRequest(
                id=f"bench-{next(self._ids)}",
                prompt_ids=prompt,
                tokens_max=tokens,
                temperature=0.0,
                action=Action.HALT,
                early=early,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The engine's own counters around some steps."""

    earlier: StepStats
    """Before the prompts were submitted: at the end of the window before this one."""
    before: StepStats
    """When every stream had given its first token."""
    after: StepStats
    """At the end of the window; the streams still run."""

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step, all included."""
        return (self.after.step_seconds - self.before.step_seconds) / self._steps * 1e3

    @property
    def score_ms(self) -> float:
        """Of those, milliseconds spent scoring."""
        return (self.after.score_seconds - self.before.score_seconds) / self._steps * 1e3

    @property
    def prompt_token_ms(self) -> float:
        """Milliseconds for each token of the prompts."""
        seconds = self.before.prefill_seconds - self.earlier.prefill_seconds
        return seconds / (self.before.prefill_tokens - self.earlier.prefill_tokens) * 1e3

    def as_figures(self) -> Figures:
        """The three by name, and what the cache held at the beginning."""
        return {
            "step_ms": self.step_ms,
            "score_ms": self.score_ms,
            "prompt_token_ms": self.prompt_token_ms,
            "cache_bytes": self.before.cache_bytes,
            "cache_tokens": self.before.cache_tokens,
        }

    @property
    def _steps(self) -> int:
        return self.after.steps - self.before.steps


def drive(stack: ExitStack, engine: LocalEngine) -> Driver:
    """Start an engine that is closed with the stack."""
    return stack.enter_context(Driver(engine))
