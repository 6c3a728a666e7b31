"""Family 7: reading a data set at all layers, against what one would run instead.

Ours is `training.collect` as it is: it tokenizes, sorts by length, checks that every
reading is finite and writes it to the disk. The others pad batches of texts in the order
of the file and keep what they are handed in memory. Texts have unequal lengths, as those
of data sets have; where they are all as long as each other, what remains is what is
computed and what is not, and nothing is asked.

The peak of memory is that of a process of its own for each side, which reads all texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.nn.utils.rnn import pad_sequence

from bench.contest import Contest, Sides
from bench.rows import AGAIN, Better, Figures, Row, Samples, column, paired
from bench.subjects import SEED, Subject, gpt2_small
from bench.throughput import bridge_of
from probing.spec import Hook, Site
from training.collect import collect
from training.datasets.schema import Dataset, Example

FAMILY = "reading a data set at all layers"
HOOK: Hook = "hook_resid_post"
BATCH = 8
"""Texts in one batch of the others: larger ones are slower here, and padded more."""
OTHERS = {
    "hidden states": "output_hidden_states",
    "bridge": "TransformerBridge run_with_cache",
    "base model": "output_hidden_states without the head",
}
"""What rows call the sides that stand against ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is read, and by whom."""

    texts: int
    """How many."""
    tokens: tuple[int, int]
    """Fewest and most of a text; evenly between."""
    others: tuple[str, ...]
    """Sides beside ours, out of `OTHERS`."""
    target: float | None
    """Ratio to each of the others that is asked for."""
    rounds: int
    """Pairs that are kept."""
    seconds: float
    """Expected length."""

    @property
    def title(self) -> str:
        """As rows call it."""
        fewest, most = self.tokens
        span = f"{most}" if fewest == most else f"{fewest} to {most}"
        return f"{self.texts:,} texts of {span} tokens"

    def data(self) -> Dataset:
        """The texts, of a token a letter."""
        rng = np.random.default_rng(SEED)
        lengths = rng.permutation(np.linspace(*self.tokens, self.texts).round().astype(int))
        letters = ["".join(map(chr, rng.integers(97, 123, length))) for length in lengths]
        examples = tuple(_example(number, text) for number, text in enumerate(letters))
        return Dataset(name="texts", sha256=self.title, examples=examples)


def contest(subject: Callable[[], Subject], name: str, plan: Plan) -> Contest:
    """Tokens a second: ours, the others, and ours again."""
    return Contest(
        name=f"collecting, {name}, {plan.title}",
        prepare=partial(_prepare, subject, plan),
        rows=partial(_rows, f"{name}, {plan.title}", "tok/s", "higher", plan),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def memory_contest(plan: Plan) -> Contest:
    """The peak of memory with GPT-2 small, each side once: it does not vary."""
    return Contest(
        name=f"memory of collecting, GPT-2 small, {plan.title}",
        prepare=lambda _: {
            side: cache(partial(_measure_peak, side, plan))
            for side in ("collect", *plan.others, "again")
        },
        rows=partial(_rows, f"GPT-2 small, {plan.title}, peak memory", "MB", "lower", plan),
        rounds=1,
        seconds=plan.seconds,
    )


Side = Callable[[], object]
"""Reads everything once; what it returns is what it keeps."""


def _prepare(subject: Callable[[], Subject], plan: Plan, stack: ExitStack) -> Sides:
    model, data = subject(), plan.data()
    sides = {name: _SIDES[name](model, data, stack) for name in ("collect", *plan.others)}
    sides["again"] = sides["collect"]
    tokens = sum(len(example.answer) for example in data)
    return {name: partial(_measure_rate, side, tokens) for name, side in sides.items()}


def _measure_rate(side: Side, tokens: int) -> Figures:
    began = perf_counter()
    side()
    return {"tok/s": tokens / (perf_counter() - began)}


def _measure_peak(side: str, plan: Plan) -> Figures:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return {"MB": pool.submit(_peak_here, side.replace("again", "collect"), plan).result()}


def _peak_here(side: str, plan: Plan) -> float:
    """The most memory that this process has held, once a side has read everything."""
    with ExitStack() as stack:
        kept = _SIDES[side](gpt2_small(), plan.data(), stack)()
    del kept
    status = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM"))


def _collect(model: Subject, data: Dataset, stack: ExitStack) -> Side:
    loaded, quiet = model.twin(), Console(file=StringIO())
    sites = [Site(layer, HOOK) for layer in range(loaded.n_layers)]

    def side() -> None:
        with TemporaryDirectory() as folder:
            collect(loaded, data, sites, cache=Path(folder), console=quiet)

    return side


def _hidden_states(model: Subject, data: Dataset, stack: ExitStack, *, head: bool = True) -> Side:
    whole = model.twin().model
    read = partial(whole if head else whole.base_model, use_cache=False, output_hidden_states=True)

    @torch.inference_mode()
    def side() -> list[Any]:
        batches = _batches(model, data)
        return [read(input_ids=ids, attention_mask=mask).hidden_states for ids, mask in batches]

    return side


def _bridge_cache(model: Subject, data: Dataset, stack: ExitStack) -> Side:
    read = partial(
        bridge_of(model, stack).run_with_cache, names_filter=lambda name: name.endswith(HOOK)
    )

    @torch.inference_mode()
    def side() -> list[Any]:
        return [read(ids)[1] for ids, _ in _batches(model, data)]

    return side


_SIDES: dict[str, Callable[[Subject, Dataset, ExitStack], Side]] = {
    "collect": _collect,
    "hidden states": _hidden_states,
    "bridge": _bridge_cache,
    "base model": partial(_hidden_states, head=False),
}


def _batches(model: Subject, data: Dataset) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and mask of so many texts at a time, padded on the right."""
    texts = [torch.tensor(model.loaded.tokenizer(e.answer)["input_ids"]) for e in data]
    for first in range(0, len(texts), BATCH):
        rows = texts[first : first + BATCH]
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        yield pad_sequence(rows, batch_first=True), mask


def _rows(label: str, unit: str, better: Better, plan: Plan, samples: Samples) -> list[Row]:
    """Ours against each of the others, and against itself."""

    def row(name: str, side: str, target: float | None, note: str) -> Row:
        return paired(
            name,
            column(samples, "collect", unit),
            column(samples, side, unit),
            family=FAMILY,
            unit=unit,
            better=better,
            target=target,
            note=note,
        )

    batches = f"they pad batches of {BATCH}, and keep everything in memory"
    return [
        *(row(f"{label}, {OTHERS[side]}", side, plan.target, batches) for side in plan.others),
        row(f"{AGAIN} {label}", "again", None, "identical code on both sides"),
    ]


def _example(number: int, text: str) -> Example:
    return Example(
        id=str(number),
        messages=({"role": "assistant", "content": text},),
        label="honest",
        family="texts",
        kind="honest",
        situation=str(number),
        source="drawn",
    )
