"""Family 1: how much of a step is spent on scoring.

Both figures come from the engine's own counters over the same steps, so that even
a share of half a percent shows through noise of several. The A/A row is the time
scoring takes, measured twice in turn by the same engine. Targets hold for probes
with one aggregator, the mean; a set of several kinds stands beside them without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from bench.contest import Contest, Sides
from bench.driving import Driver, drive
from bench.rows import AGAIN, Figures, Row, Samples, column, paired
from bench.subjects import MIXED, Subject, watched

FAMILY = "scoring time as a share of the step"
PROMPT_TOKENS = 32
MIXED_PROBES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model is measured."""

    targets: Mapping[int, float]
    """Largest share, by number of probes in all."""
    batches: Sequence[int]
    """Streams that run at the same time."""
    steps: int
    """Steps in a window."""
    rounds: int
    """Windows that are kept."""
    seconds: float
    """Expected length."""


def contest(subject: Callable[[], Subject], name: str, plan: Plan) -> Contest:
    """Windows of steps at each number of probes and streams, in turn."""
    return Contest(
        name=f"scoring, {name}",
        prepare=partial(_prepare, subject, plan),
        rows=partial(_rows, name, plan),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def _prepare(subject: Callable[[], Subject], plan: Plan, stack: ExitStack) -> Sides:
    model = subject()
    sides = {}
    for probes in plan.targets:
        driver = drive(stack, watched(model, probes))
        for batch in plan.batches:
            sides[_side(probes, batch)] = partial(_measure, driver, model, batch, plan.steps)
        sides.setdefault("again", sides[_side(probes, plan.batches[0])])
    driver = drive(stack, watched(model, MIXED_PROBES, MIXED))
    for batch in plan.batches:
        side = _side(MIXED_PROBES, batch, MIXED)
        sides[side] = partial(_measure, driver, model, batch, plan.steps)
    return sides


def _measure(driver: Driver, model: Subject, batch: int, steps: int) -> Figures:
    return driver.window(model.prompts([PROMPT_TOKENS] * batch), steps).as_figures()


def _rows(name: str, plan: Plan, samples: Samples) -> list[Row]:
    wanted: list[tuple[str, float | None]] = [
        (_side(probes, batch), target)
        for probes, target in plan.targets.items()
        for batch in plan.batches
    ]
    wanted += [(_side(MIXED_PROBES, batch, MIXED), None) for batch in plan.batches]
    rows = [
        paired(
            f"{name}, {side}",
            column(samples, side, "score_ms"),
            column(samples, side, "step_ms"),
            family=FAMILY,
            unit="ms",
            target=target,
            note="scoring against the step it is part of",
        )
        for side, target in wanted
    ]
    first = wanted[0][0]
    again = paired(
        f"{AGAIN} {name}, scoring, {first}",
        column(samples, first, "score_ms"),
        column(samples, "again", "score_ms"),
        family=FAMILY,
        unit="ms",
        note="identical code on both sides",
    )
    return [*rows, again]


def _side(probes: int, batch: int, aggregators: Sequence[str] = ()) -> str:
    kinds = f" of {len(aggregators)} kinds" if aggregators else ""
    return f"{probes:,} probes{kinds}, batch {batch}"
