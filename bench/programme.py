"""What is measured in a full run and in a quick one.

Expected lengths hold for two quick cores that do nothing else. A full run stays below
twenty minutes where they take three times as long. A quick one shows that the engine's
families run; its intervals are too wide to judge by, and training is not among them. What
takes as long as all else together is measured only where it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from bench import (
    collecting,
    context,
    first_token,
    fitting,
    latency,
    memory,
    scoring,
    subjects,
    throughput,
)
from bench.contest import Contest
from bench.subjects import Subject

GPT2 = "GPT-2 small"
FAMILIES = (
    "scoring",
    "latency",
    "throughput",
    "first_token",
    "memory",
    "context",
    "collecting",
)
LONG = ("fitting", "collecting_memory")
"""Measured only where they are named."""
SMALL_TARGETS = {8: 0.03, 100: 0.03, 1000: 0.10}
LARGE_TARGETS = {100: 0.005, 1000: 0.03}
BATCHES = (1, 8, 32)
LENGTHS = (128, 256, 512, 1024)
UNEQUAL, EQUAL = (16, 128), (128, 128)
"""Fewest and most tokens of the texts that are read."""
FASTER, LEANER = 1.5, 0.25
"""Targets of reading a data set: tokens a second, and the peak of memory."""

Model = Callable[[], Subject]
Programme = dict[str, list[Contest]]


def programme(small: str | Path, *, quick: bool, families: Sequence[str]) -> list[Contest]:
    """All contests, family by family; a model is loaded when the first contest needs it.

    Args:
        small: the bundled model's name, or the directory of one to measure in its place.
        quick: one or two rounds of little instead of eight.
        families: names out of `FAMILIES` and `LONG`.
    """
    one, other = cache(lambda: subjects.magpie(small)), cache(subjects.gpt2_small)
    made = (_quick if quick else _full)(one, subjects.title(small), other)
    named = [family for family in (*FAMILIES, *LONG) if family in families]
    return [contest for family in named for contest in made.get(family, [])]


def _full(small: Model, name: str, large: Model) -> Programme:
    return {
        "scoring": [
            _scoring(small, name, SMALL_TARGETS, steps=24, rounds=8, seconds=6),
            _scoring(large, GPT2, LARGE_TARGETS, steps=6, rounds=8, seconds=40),
        ],
        "latency": [
            _latency(small, name, batch=1, tokens=128, rounds=8, seconds=8),
            _latency(small, name, batch=32, tokens=32, rounds=8, seconds=9),
            _latency(large, GPT2, batch=1, tokens=32, rounds=8, seconds=23),
        ],
        "throughput": [
            _throughput(small, name, streams=1, tokens=128, rounds=8, seconds=10),
            _throughput(small, name, streams=32, tokens=32, rounds=8, seconds=15),
            _throughput(large, GPT2, streams=1, tokens=64, rounds=8, seconds=60),
            _throughput(large, GPT2, streams=32, tokens=16, rounds=8, seconds=110),
        ],
        "first_token": [
            _first_token(small, name, tokens=16, answers=6, rounds=8, seconds=8),
            _first_token(large, GPT2, tokens=8, answers=1, rounds=8, seconds=10),
        ],
        "memory": [memory.contest(small, name, seconds=6)],
        "context": [_context(large, GPT2, steps=6, rounds=8, seconds=22)],
        "collecting": [
            _collecting(large, GPT2, UNEQUAL, texts=16, rounds=8, seconds=60),
            _collecting(large, GPT2, EQUAL, texts=3, rounds=8, seconds=19),
        ],
        "fitting": [_fitting(layers=12, readings=10_000, width=768, rounds=8, seconds=270)],
        "collecting_memory": [_collecting_memory(texts=1000, tokens=128, seconds=660)],
    }


def _quick(small: Model, name: str, large: Model) -> Programme:
    return {
        "scoring": [
            _scoring(small, name, SMALL_TARGETS, steps=24, rounds=2, seconds=5),
            _scoring(large, GPT2, LARGE_TARGETS, steps=4, rounds=1, seconds=12),
        ],
        "latency": [
            _latency(small, name, batch=1, tokens=128, rounds=2, seconds=3),
            _latency(small, name, batch=32, tokens=24, rounds=2, seconds=4),
            _latency(large, GPT2, batch=1, tokens=24, rounds=1, seconds=5),
        ],
        "throughput": [
            _throughput(small, name, streams=1, tokens=64, rounds=2, seconds=3),
            _throughput(small, name, streams=32, tokens=32, rounds=2, seconds=6),
            _throughput(large, GPT2, streams=1, tokens=16, rounds=1, seconds=5),
            _throughput(large, GPT2, streams=32, tokens=6, rounds=1, seconds=20),
        ],
        "first_token": [
            _first_token(small, name, tokens=16, answers=3, rounds=2, seconds=3),
            _first_token(large, GPT2, tokens=4, answers=1, rounds=2, seconds=4),
        ],
        "memory": [memory.contest(small, name, seconds=6)],
        "context": [_context(large, GPT2, steps=4, rounds=1, seconds=10)],
    }


def _scoring(
    model: Model, name: str, targets: dict[int, float], *, steps: int, rounds: int, seconds: float
) -> Contest:
    plan = scoring.Plan(
        targets=targets, batches=BATCHES, steps=steps, rounds=rounds, seconds=seconds
    )
    return scoring.contest(model, name, plan)


def _latency(
    model: Model, name: str, *, batch: int, tokens: int, rounds: int, seconds: float
) -> Contest:
    plan = latency.Plan(batch=batch, tokens=tokens, rounds=rounds, seconds=seconds)
    return latency.contest(model, name, plan)


def _throughput(
    model: Model, name: str, *, streams: int, tokens: int, rounds: int, seconds: float
) -> Contest:
    plan = throughput.Plan(streams=streams, tokens=tokens, rounds=rounds, seconds=seconds)
    return throughput.contest(model, name, plan)


def _first_token(
    model: Model, name: str, *, tokens: int, answers: int, rounds: int, seconds: float
) -> Contest:
    plan = first_token.Plan(tokens=tokens, answers=answers, rounds=rounds, seconds=seconds)
    return first_token.contest(model, name, plan)


def _context(model: Model, name: str, *, steps: int, rounds: int, seconds: float) -> Contest:
    plan = context.Plan(lengths=LENGTHS, steps=steps, rounds=rounds, seconds=seconds)
    return context.contest(model, name, plan)


def _collecting(
    model: Model, name: str, tokens: tuple[int, int], *, texts: int, rounds: int, seconds: float
) -> Contest:
    unequal = tokens == UNEQUAL
    plan = collecting.Plan(
        texts=texts,
        tokens=tokens,
        others=("hidden states", "bridge" if unequal else "base model"),
        target=FASTER if unequal else None,
        rounds=rounds,
        seconds=seconds,
    )
    return collecting.contest(model, name, plan)


def _collecting_memory(*, texts: int, tokens: int, seconds: float) -> Contest:
    plan = collecting.Plan(
        texts=texts,
        tokens=(tokens, tokens),
        others=("hidden states", "bridge"),
        target=LEANER,
        rounds=1,
        seconds=seconds,
    )
    return collecting.memory_contest(plan)


def _fitting(*, layers: int, readings: int, width: int, rounds: int, seconds: float) -> Contest:
    plan = fitting.Plan(
        layers=layers, readings=readings, width=width, rounds=rounds, seconds=seconds
    )
    return fitting.contest(plan)
