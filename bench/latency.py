"""Family 2: the time between two tokens with probes and without.

A stream's listener takes the times, so they hold what a client of the engine sees:
scoring, judging, and handing over. The other side is the same engine that reads and
judges nothing. Medians move by about a percent here and p99 by fifteen; the A/A
rows say by how much today.
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
from bench.subjects import Subject, unwatched, watched

FAMILY = "inter-token latency, with probes against without"
PROMPT_TOKENS = 32
PROBES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model is measured at one batch size."""

    batch: int
    """Streams that run at the same time."""
    tokens: int
    """Tokens that each of them gets."""
    rounds: int
    """Pairs that are kept."""
    seconds: float
    """Expected length."""


def contest(subject: Callable[[], Subject], name: str, plan: Plan) -> Contest:
    """The engine with probes, without, and without again."""
    return Contest(
        name=f"latency, {name}, batch {plan.batch}",
        prepare=partial(_prepare, subject, plan),
        rows=partial(_rows, f"{name}, batch {plan.batch}"),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def _prepare(subject: Callable[[], Subject], plan: Plan, stack: ExitStack) -> Sides:
    model = subject()
    prompts = model.prompts([PROMPT_TOKENS] * plan.batch)
    engines = {
        "watched": watched(model, PROBES),
        "unwatched": unwatched(model),
        "unwatched again": unwatched(model),
    }
    return {
        side: partial(_measure, drive(stack, engine), prompts, plan.tokens)
        for side, engine in engines.items()
    }


def _measure(driver: Driver, prompts: Prompts, tokens: int) -> Figures:
    gaps = driver.answers(prompts, tokens).gaps_ms
    return {"median": float(np.median(gaps)), "p99": float(np.percentile(gaps, 99))}


def _rows(name: str, samples: Samples) -> list[Row]:
    rows = []
    for figure in ("median", "p99"):
        without = column(samples, "unwatched", figure)
        for label, side, note in (
            (f"{name}, {PROBES} probes, {figure}", "watched", "with probes against without"),
            (f"{AGAIN} {name}, {figure}", "unwatched again", "identical code on both sides"),
        ):
            rows.append(
                paired(
                    label,
                    column(samples, side, figure),
                    without,
                    family=FAMILY,
                    unit="ms",
                    note=note,
                )
            )
    return rows
