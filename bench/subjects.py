"""What is measured: two models, sets of probes, and engines over them.

Each side gets modules of its own, because hooks sit on modules, and shares the
tensors, so that all of them read the same memory. No model here has an end token:
all sides generate exactly as many tokens as they were asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from probing.aggregators import AggregatorSpec
from probing.model import LoadedModel, load_model, map_sites
from probing.monitor import Monitor
from probing.policy import Action
from probing.probe import Probe, ProbeSet
from probing.reader import Reader, Readings
from probing.spec import Site
from service.engines.local import LocalEngine
from service.engines.scheduler import Scheduler
from service.engines.stepper import Stepper, Verdicts

SEED = 0
SITES = 3
NEVER = 1e9
"""A threshold that no score reaches: all streams run to their full length."""
MEAN = ("mean",)
MIXED = ("mean", "ema:0.1", "rolling_max:8", "topk_mean:5")
"""The aggregators among which training chooses; each is a group of its own in the monitor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model under measurement."""

    name: str
    """As rows call it."""
    loaded: LoadedModel
    """Never run itself; sides run twins of it."""

    def twin(self) -> LoadedModel:
        """The same model with modules of its own around the same tensors."""
        model = self.loaded.model
        shared = [*model.parameters(), *model.buffers()]
        copied = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
        return replace(self.loaded, model=copied, sites=map_sites(copied))

    def prompts(self, lengths: Sequence[int]) -> list[tuple[int, ...]]:
        """Random tokens, the same ones for the same lengths."""
        rng = np.random.default_rng(SEED)
        size = int(self.loaded.model.get_input_embeddings().weight.shape[0])
        return [tuple(rng.integers(0, size, length).tolist()) for length in lengths]


def title(source: str | Path) -> str:
    """What rows call a model that is loaded from here."""
    return Path(source).name.capitalize()


def magpie(source: str | Path) -> Subject:
    """The bundled model, or another one in its place.

    Raises:
        ModelUnavailable: it is not there or damaged.
    """
    return Subject(name=title(source), loaded=_endless(load_model(source)))


def gpt2_small() -> Subject:
    """GPT-2 small's shape, 124M parameters in float32, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None))
    return Subject(name="GPT-2 small", loaded=_endless(load_model(model, tokenizer=_bytes())))


def probe_set(loaded: LoadedModel, probes: int, aggregators: Sequence[str] = MEAN) -> ProbeSet:
    """So many random probes in all, dealt out over three sites and then over the aggregators."""
    layers = loaded.n_layers
    depths = sorted({layers // 3, layers // 2, 2 * layers // 3})
    sites = [Site(depth, "hook_resid_post") for depth in depths][:SITES]
    rng = np.random.default_rng(SEED)
    dealt = [
        (i, sites[i % len(sites)], aggregators[i // len(sites) % len(aggregators)])
        for i in range(probes)
    ]
    return ProbeSet(tuple(_probe(loaded, *what, rng) for what in dealt))


def watched(subject: Subject, probes: int, aggregators: Sequence[str] = MEAN) -> LocalEngine:
    """The engine as it is served, under so many probes."""
    loaded = subject.twin()
    return LocalEngine(loaded, probe_set(loaded, probes, aggregators))


class UnwatchedEngine(LocalEngine):
    """The same engine without hooks, scores and judgements: what probes are compared with.

    It lives here and not in the service, which must not be able to run without watching.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        nominal = probe_set(loaded, 1)
        super().__init__(loaded, nominal)
        self._reader = Reader(loaded, ())
        self._stepper = _UnwatchedStepper(self._reader, nominal, self._scheduler)


class _UnwatchedStepper(Stepper):
    """Gives everyone the judgement of a step that was never scored."""

    def __init__(self, reader: Reader, nominal: ProbeSet, scheduler: Scheduler) -> None:
        super().__init__(reader, nominal, scheduler)
        rows_max = scheduler.limits.rows_max
        blank = Monitor(nominal, streams_max=rows_max)
        for _ in range(rows_max):
            blank.open(Action.OBSERVE)
        self._blank = blank.push(np.zeros((rows_max, 1), np.float32))

    def _judge(self, readings: Readings) -> Verdicts:
        rows = range(len(self._scheduler.running))
        return Verdicts(judged=self._blank, rows=rows, failures={})


def unwatched(subject: Subject) -> LocalEngine:
    """The engine with nothing to read."""
    return UnwatchedEngine(subject.twin())


def cache_bytes_per_token(loaded: LoadedModel) -> int:
    """What keys and values of one token take in all blocks of a model with as many key as
    query heads, as both here have."""
    return int(2 * loaded.n_layers * loaded.d_model * loaded.model.dtype.itemsize)


def _probe(
    loaded: LoadedModel, index: int, site: Site, aggregator: str, rng: np.random.Generator
) -> Probe:
    weights = rng.normal(0, loaded.d_model**-0.5, (1, loaded.d_model)).astype(np.float32)
    return Probe(
        name=f"probe_{index:04}",
        version="1",
        fingerprint=loaded.spec.fingerprint,
        weights={site: weights},
        bias=np.zeros(1, np.float32),
        aggregator=AggregatorSpec.parse(aggregator),
        threshold=NEVER,
        tokens_min=1,
    )


def _endless(loaded: LoadedModel) -> LoadedModel:
    """The same model with nothing that ends an answer early, for our engine and for the others."""
    for settings in (loaded.model.config, loaded.model.generation_config):
        settings.eos_token_id = None
    return replace(loaded, end_ids=frozenset())


def _bytes() -> PreTrainedTokenizerFast:
    """One token per byte; the rest of the vocabulary has no text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)
