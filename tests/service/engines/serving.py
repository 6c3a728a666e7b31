"""Engines on tiny models, run in their thread or beat by beat by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch

from probing.aggregators import AggregatorSpec
from probing.model import LoadedModel
from probing.policy import Action
from probing.probe import Probe, ProbeSet
from probing.reader import Reader
from probing.spec import Site
from service.engines.answers import Answer
from service.engines.detokenize import Detokenizer
from service.engines.local import LocalEngine
from service.engines.protocol import EngineFailure, GenerationRequest, Step
from service.engines.scheduler import Limits, Scheduler
from service.engines.stepper import Stepper

NEVER = 1e9
_ids = count()


def probe_set(
    loaded: LoadedModel, *, threshold: float = NEVER, fingerprint: str | None = None
) -> ProbeSet:
    """Three probes over three sites, one of them reading two; seeded weights."""
    rng = np.random.default_rng(5)
    last = loaded.n_layers - 1
    places = [
        [Site(0, "hook_resid_post")],
        [Site(last, "hook_attn_out"), Site(last, "hook_resid_post")],
        [Site(0, "hook_resid_post")],
    ]
    return ProbeSet(
        tuple(
            Probe(
                name=f"probe{i}",
                version="1",
                fingerprint=fingerprint or loaded.spec.fingerprint,
                weights={
                    site: rng.normal(size=(1, loaded.d_model)).astype(np.float32) for site in sites
                },
                bias=rng.normal(size=1).astype(np.float32),
                aggregator=AggregatorSpec.parse(aggregator),
                threshold=threshold if i == 0 else NEVER,
                tokens_min=3,
            )
            for i, (sites, aggregator) in enumerate(
                zip(places, ("mean", "rolling_max:4", "ema:0.25"), strict=True)
            )
        )
    )


def prompt(length: int, seed: int = 0) -> tuple[int, ...]:
    """Random bytes, the same for the same arguments."""
    return tuple(np.random.default_rng([length, seed]).integers(0, 250, size=length).tolist())


def ask(
    prompt_ids: Sequence[int],
    tokens_max: int = 8,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | None = None,
    stop: tuple[str, ...] = (),
    action: Action = Action.HALT,
    early: bool = False,
) -> GenerationRequest:
    """A request; greedy unless a temperature is given."""
    return GenerationRequest(
        id=f"request{next(_ids)}",
        prompt_ids=tuple(prompt_ids),
        tokens_max=tokens_max,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=stop,
        action=action,
        early=early,
    )


def greedy(loaded: LoadedModel, prompt_ids: Sequence[int], tokens_max: int) -> list[int]:
    """What transformers generates, cut at the end token."""
    ids = torch.tensor([list(prompt_ids)])
    with torch.inference_mode():
        whole = loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens_max,
            do_sample=False,
            pad_token_id=256,
        )
    tokens = whole[0, len(prompt_ids) :].tolist()
    return tokens[: tokens.index(256)] if 256 in tokens else tokens


def tokens_of(steps: Sequence[Step]) -> list[int]:
    """Token ids of the scored steps."""
    return [step.token_id for step in steps if step.scores is not None]


@contextmanager
def running(
    loaded: LoadedModel, probes: ProbeSet | None = None, *, limits: Limits | None = None
) -> Iterator[LocalEngine]:
    """A started engine that is closed behind the block."""
    engine = LocalEngine(loaded, probes or probe_set(loaded), limits=limits or Limits())
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


async def collect(engine: LocalEngine, request: GenerationRequest) -> list[Step]:
    """All steps of a request."""
    return [step async for step in engine.submit(request)]


def answer_all(engine: LocalEngine, *requests: GenerationRequest) -> list[list[Step]]:
    """All steps of requests that are submitted together."""

    async def together() -> list[list[Step]]:
        return await asyncio.gather(*(collect(engine, request) for request in requests))

    return asyncio.run(together())


class Shelf:
    """In place of a stream: what the engine put there."""

    def __init__(self) -> None:
        self.loop = None
        self.cancelled = False
        self.items: list[Step | EngineFailure] = []

    @property
    def steps(self) -> list[Step]:
        return [item for item in self.items if isinstance(item, Step)]

    @property
    def failure(self) -> EngineFailure | None:
        last = self.items[-1] if self.items else None
        return last if isinstance(last, EngineFailure) else None

    @property
    def ended(self) -> bool:
        return bool(self.items) and (
            self.failure is not None or self.steps[-1].finish_reason is not None
        )


class _Outbox:
    def put(self, stream: Shelf, item: Step | EngineFailure) -> None:
        stream.items.append(item)

    def send(self) -> bool:
        return True


class ByHand:
    """The engine's inside without its thread: nothing happens but in `beat`."""

    def __init__(self, reader: Reader, probes: ProbeSet, limits: Limits | None = None) -> None:
        self.loaded = reader.loaded
        self.scheduler = Scheduler(limits or Limits())
        self.scheduler.open()
        self.stepper = Stepper(reader, probes, self.scheduler)
        self.stepper.outbox = _Outbox()
        self._detokenizer = Detokenizer(self.loaded.tokenizer)

    def submit(self, request: GenerationRequest) -> Shelf:
        """Queue a request."""
        shelf = Shelf()
        decoder = self._detokenizer.decoder()
        self.scheduler.submit(
            Answer(request, shelf, decoder, self.loaded.end_ids, self.loaded.context)
        )
        return shelf

    def cancel(self, shelf: Shelf) -> None:
        """As `LocalStream.cancel` does it."""
        shelf.cancelled = True
        self.scheduler.note_cancel()

    def beat(self, times: int = 1) -> None:
        """Let the engine work on."""
        with torch.inference_mode():
            for _ in range(times):
                self.stepper.beat()

    def finish(self) -> None:
        """Beat until there is nothing left to do."""
        while self.scheduler.busy:
            self.beat()


@contextmanager
def by_hand(
    loaded: LoadedModel, probes: ProbeSet | None = None, *, limits: Limits | None = None
) -> Iterator[ByHand]:
    """An engine's inside, hooks attached within the block."""
    probes = probes or probe_set(loaded)
    with Reader(loaded, probes.sites) as reader:
        yield ByHand(reader, probes, limits)
