"""Family 4: what waiting for its score adds to the time to the first token.

A request under release rule `immediate` gets each token when it is sampled and
again, scored, one step later. So one stream holds both times, and nothing but the
wait for the score lies between them. It should be one inter-token latency.
`generate` of a single token stands beside it as what a user would have without us.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.contest import Contest, Sides
from bench.driving import Driver, Prompts, drive
from bench.rows import AGAIN, Figures, Row, Samples, column, paired
from bench.subjects import Subject, watched
from bench.throughput import generate

FAMILY = "time to first token, scored against unscored"
PROMPT_TOKENS = 32
PROBES = 8
TARGET = 1.0
"""Inter-token latencies that the score of the first token may add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model is measured."""

    tokens: int
    """Of each answer; the inter-token latency is theirs."""
    answers: int
    """One after another in each measurement."""
    rounds: int
    """Pairs that are kept."""
    seconds: float
    """Expected length."""


def contest(subject: Callable[[], Subject], name: str, plan: Plan) -> Contest:
    """Answers under `scored` and under `immediate`, and the latter again."""
    return Contest(
        name=f"first token, {name}",
        prepare=partial(_prepare, subject, plan),
        rows=partial(_rows, name),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def _prepare(subject: Callable[[], Subject], plan: Plan, stack: ExitStack) -> Sides:
    model = subject()
    prompts = model.prompts([PROMPT_TOKENS])
    driver = drive(stack, watched(model, PROBES))
    immediate = partial(_measure, driver, prompts, plan, early=True)
    plain = model.twin().model
    return {
        "generate": lambda: {"first_ms": generate(plain, prompts, 1)["seconds"] * 1e3},
        "scored": partial(_measure, driver, prompts, plan, early=False),
        "immediate": immediate,
        "immediate again": immediate,
    }


def _measure(driver: Driver, prompts: Prompts, plan: Plan, *, early: bool) -> Figures:
    lines = [driver.answers(prompts, plan.tokens, early=early) for _ in range(plan.answers)]
    scored = [line.scored[0][0] for line in lines]
    first = [line.early[0][0] for line in lines] if early else scored
    return {
        "first_ms": float(np.median(first)) * 1e3,
        "added_ms": float(np.median(np.subtract(scored, first))) * 1e3,
        "gap_ms": float(np.median(np.concatenate([line.gaps_ms for line in lines]))),
    }


def _rows(name: str, samples: Samples) -> list[Row]:
    first = column(samples, "immediate", "first_ms")
    return [
        paired(
            f"{name}, added until the first token's score, in inter-token latencies",
            column(samples, "immediate", "added_ms"),
            column(samples, "immediate", "gap_ms"),
            family=FAMILY,
            unit="ms",
            target=TARGET,
            note="both release times of the same token, against the stream's median gap",
        ),
        paired(
            f"{name}, first token under scored against immediate",
            column(samples, "scored", "first_ms"),
            first,
            family=FAMILY,
            unit="ms",
            note="two requests of the same prompt",
        ),
        paired(
            f"{name}, first token under scored against transformers generate of one",
            column(samples, "scored", "first_ms"),
            column(samples, "generate", "first_ms"),
            family=FAMILY,
            unit="ms",
            note="ours has read its first token once more, to score it",
        ),
        paired(
            f"{AGAIN} {name}, first token under immediate",
            column(samples, "immediate again", "first_ms"),
            first,
            family=FAMILY,
            unit="ms",
            note="identical code on both sides",
        ),
    ]
