"""Family 6: what a step and a prompt cost at growing context length.

Every length is compared with the shortest. With attention a step grows with what it
looks back on; what must not grow on top of that is bookkeeping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.contest import Contest, Sides
from bench.driving import Driver, Prompts, drive
from bench.rows import AGAIN, Figures, Row, Samples, column, paired
from bench.subjects import Subject, watched

FAMILY = "cost against context length"
PROBES = 8
_SPARE_TOKENS = 32
"""So that the stream still runs when the window ends, however late the listener is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model is measured."""

    lengths: Sequence[int]
    """Tokens that prompt and answer may have together, ascending; the context at most."""
    steps: int
    """Steps at each length."""
    rounds: int
    """Windows that are kept."""
    seconds: float
    """Expected length."""


def contest(subject: Callable[[], Subject], name: str, plan: Plan) -> Contest:
    """One stream at every length in turn, the shortest twice."""
    return Contest(
        name=f"context, {name}",
        prepare=partial(_prepare, subject, plan),
        rows=partial(_rows, name, plan),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def _prepare(subject: Callable[[], Subject], plan: Plan, stack: ExitStack) -> Sides:
    model = subject()
    driver = drive(stack, watched(model, PROBES))
    sides = {}
    for side, length in (("again", plan.lengths[0]), *((str(n), n) for n in plan.lengths)):
        prompts = model.prompts([length - plan.steps - _SPARE_TOKENS])
        sides[side] = partial(_measure, driver, prompts, plan.steps)
    return sides


def _measure(driver: Driver, prompts: Prompts, steps: int) -> Figures:
    return driver.window(prompts, steps).as_figures()


def _rows(name: str, plan: Plan, samples: Samples) -> list[Row]:
    shortest = str(plan.lengths[0])

    def row(label: str, side: str, figure: str, note: str) -> Row:
        ours, other = column(samples, side, figure), column(samples, shortest, figure)
        return paired(label, ours, other, family=FAMILY, unit="ms", note=note)

    against = f"against {shortest} tokens"
    return [
        *(
            row(f"{name}, a step at {n:,} tokens", str(n), "step_ms", against)
            for n in plan.lengths[1:]
        ),
        *(
            row(f"{name}, a prompt token of {n:,}", str(n), "prompt_token_ms", against)
            for n in plan.lengths[1:]
        ),
        row(f"{AGAIN} {name}, a step at {shortest} tokens", "again", "step_ms", "identical code"),
    ]
