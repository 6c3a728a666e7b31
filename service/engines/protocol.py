"""What the gateway asks of an engine, and everything that passes between them.

An engine owns a model's forward pass and hands out scored tokens. There are two:
the local one beside this file, and vLLM's. The gateway knows this module only.

Invariant: a `Step` with text and `scores is None` exists only where its request
set `early`; in every other stream a token comes out after it was read and scored,
once, with the decision it led to. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from probing.errors import DuplicateProbe
from probing.policy import Action, Decision

FinishReason = Literal["stop", "length", "content_filter"]
"""Why a stream ended: its own end or a stop string, no room, or the monitor."""


class QueueFull(Exception):
    """As many requests wait as the queue holds. Nothing of this one was kept; try again later."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(
            f"the engine's queue is full; try again in {retry_after_seconds:.0f} seconds"
        )
        self.retry_after_seconds = retry_after_seconds


class RequestRefused(Exception):
    """A request that no engine could answer, whatever its state; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EngineFailure(Exception):
    """A stream ended without a decision on all of its tokens; release nothing more of it.

    Codes: `monitor_error`, `engine_dead`, `cancelled`, `draining`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One answer to generate.

    Raises:
        RequestRefused: a sampling parameter lies outside its range.
    """

    id: str
    """The gateway's name for it, in logs and records."""
    prompt_ids: tuple[int, ...]
    """The whole prompt, rendered."""
    tokens_max: int
    """Response tokens at most, from 1; the model's context may end it earlier."""
    temperature: float = 1.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that together hold this share, in (0, 1]."""
    seed: int | None = None
    """The same seed gives the same answer, whatever runs beside it; None draws one."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer and are never released, not even their beginning."""
    action: Action = Action.HALT
    """What a crossed threshold leads to."""
    early: bool = False
    """Also hand out each token when it is sampled, unscored: release rule `immediate`."""

    def __post_init__(self) -> None:
        if self.tokens_max < 1:
            raise RequestRefused("tokens_max", f"asked for {self.tokens_max} tokens; ask for 1 up")
        if not 0 <= self.temperature < float("inf"):
            raise RequestRefused(
                "temperature", f"temperature {self.temperature} is not a number from 0 up"
            )
        if not 0 < self.top_p <= 1:
            raise RequestRefused("top_p", f"top_p {self.top_p} is outside (0, 1]")
        if "" in self.stop:
            raise RequestRefused(
                "stop", "an empty stop string would end every answer; leave it out"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One response token. Vectors have one float32 per probe, in the card's order.

    They are rows of one array for the whole batch, to keep a step cheap: read them,
    don't write them, and use `.tolist()` where plain floats are wanted.
    """

    position: int
    """Of the token in the response, from 0."""
    token_id: int
    """In the model's vocabulary."""
    text: str
    """What became readable with this token: "" within a character or a possible stop string.

    Each piece of text is handed out once, so the texts of all steps together are the answer:
    the last step also brings what was held back for a stop string that did not come, and of
    an `early` stream it is the early steps that bring a token's text.
    """
    scores: Float[NDArray[np.float32], " probes"] | None
    """The probes' logits for this token; None only in an `early` step."""
    statistics: Float[NDArray[np.float32], " probes"] | None
    """Their running aggregates after it; None only in an `early` step."""
    peaks: Float[NDArray[np.float32], " probes"] | None
    """Their highest statistics so far, -inf before `tokens_min`; None only in an `early` step."""
    tripped: Bool[NDArray[np.bool_], " probes"] | None = None
    """Which probes have crossed their threshold so far; None only in an `early` step."""
    decision: Decision
    """The policy's word on the stream so far. `HALT` is always the last step."""
    finish_reason: FinishReason | None = None
    """Set on the last step of a stream, and only there. Early steps never carry one.

    An answer of no tokens at all, where the model ends at once, has a single step with
    position 0, the end token's id, no text, no scores and "stop".
    """


class Stream(Protocol):
    """The steps of one request, in order, on the event loop that submitted it."""

    def __aiter__(self) -> Stream: ...

    async def __anext__(self) -> Step:
        """The next step.

        Raises:
            StopAsyncIteration: the step with the finish reason was handed out.
            EngineFailure: the stream ended without one.
        """
        ...

    def cancel(self) -> None:
        """Free its row before the next step; more calls, or calls after the end, do nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """Whether scored tokens are coming out."""

    alive: bool
    """False once its thread has died, was closed or was never started."""
    last_step_age_seconds: float
    """Since the last finished step while streams run; 0 while there is nothing to do."""
    reading: int
    """Requests whose prompts are being read."""
    running: int
    """Streams in the batch, those whose prompts are being read included."""
    waiting: int
    """Requests in the queue."""
    reason: str | None
    """Why it is not alive, or "draining"; None when all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCard:
    """What it serves and what watches it.

    Raises:
        DuplicateProbe: a version of a probe is in the set twice.
    """

    model_name: str
    """As `/v1/models` lists it."""
    context: int
    """Tokens of prompt and answer together at most."""
    fingerprint: str
    """Of the readings that this engine takes."""
    probe_set: str
    """Digest of the probe set."""
    probes: tuple[str, ...]
    """What each probe is called in results, in the order of every vector in a step."""
    versions: tuple[str, ...]
    """Of each probe."""
    thresholds: tuple[float, ...]
    """Of each probe."""
    deciding: tuple[bool, ...]
    """Whether each probe is a champion; challengers only record."""

    def __post_init__(self) -> None:
        if len(set(self.refs)) < len(self.probes):
            raise DuplicateProbe(self.refs)

    @property
    def refs(self) -> tuple[str, ...]:
        """Name and version of each probe, such as "petty@3"."""
        pairs = zip(self.probes, self.versions, strict=True)
        return tuple(f"{name.partition('@')[0]}@{version}" for name, version in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStats:
    """Counters since the start; differences of two of them give rates."""

    steps: int
    """Decode steps, each one forward pass over all running streams."""
    tokens: int
    """Response tokens that were read and scored."""
    step_seconds: float
    """Spent in decode steps, all included."""
    score_seconds: float
    """Of those, spent on scoring: the bank, its copy to the host and the monitor."""
    prefill_chunks: int
    """Forward passes over prompts."""
    prefill_tokens: int
    """Prompt tokens read."""
    prefill_seconds: float
    """Spent on prompts."""
    cache_bytes: int
    """Held for keys and values now."""
    cache_tokens: int
    """Tokens held in the cache now, over all streams."""


class Engine(Protocol):
    """A model under watch."""

    @property
    def card(self) -> EngineCard:
        """What it serves and what watches it."""
        ...

    def start(self) -> None:
        """Begin to take requests."""
        ...

    def submit(self, request: GenerationRequest) -> Stream:
        """Queue a request from the running event loop, which its stream then belongs to.

        Raises:
            QueueFull: too many requests wait.
            RequestRefused: an empty prompt or a token outside the vocabulary.
            PromptTooLong: the prompt leaves no room for an answer.
            EngineFailure: it is draining, dead or closed.
        """
        ...

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
        """Token ids of a conversation that waits for its answer.

        Raises:
            TemplateError: the model's template cannot express these messages.
        """
        ...

    def render_text(self, text: str) -> tuple[int, ...]:
        """Token ids of a raw prompt."""
        ...

    def health(self) -> EngineHealth:
        """Cheap, from any thread, also while a step hangs."""
        ...

    def step_stats(self) -> StepStats:
        """Cheap, from any thread."""
        ...

    async def drain(self, timeout_seconds: float) -> None:
        """Refuse new requests, let running and waiting ones finish, then fail what is left."""
        ...

    def close(self) -> None:
        """Stop the thread and wait for it; what still runs fails. Does nothing when closed."""
        ...
