"""A contest: sides that are measured in turn, and the rows that come of it.

Every family of benchmarks is a list of contests; `run` is the only loop. How long
a contest takes on a quiet machine with two cores is written into it, because that is
what the bar's time left is reckoned from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from bench.rows import Figures, Row, Samples, in_turn

Sides = Mapping[str, Callable[[], Figures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Something to measure."""

    name: str
    """Shown while it runs."""
    prepare: Callable[[ExitStack], Sides]
    """Builds the sides; what they hold is given back when the stack closes."""
    rows: Callable[[Samples], list[Row]]
    """Makes rows of what the rounds gave."""
    rounds: int
    """Pairs that are kept; one more round warms up."""
    seconds: float
    """Expected length of it all; only the bar depends on it."""


def run(
    contests: Sequence[Contest], console: Console, keep: Callable[[list[Row]], None]
) -> list[Row]:
    """Hold one contest after another, with a bar that shows the time left.

    Args:
        keep: called after each contest with all rows so far, so that none is lost where a
            later one fails.
    """
    rows: list[Row] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, speed_estimate_period=900.0) as bar:
        task = bar.add_task("", total=sum(contest.seconds for contest in contests))
        ahead = 0.0
        for contest in contests:
            bar.update(task, description=contest.name)
            began = time.perf_counter()
            rows += _hold(contest, lambda share: bar.advance(task, share))
            keep(rows)
            ahead += contest.seconds
            bar.update(task, completed=ahead)
            bar.console.print(f"[dim]{contest.name}: {time.perf_counter() - began:.1f} s[/dim]")
    return rows


def _hold(contest: Contest, advance: Callable[[float], None]) -> list[Row]:
    with ExitStack() as stack:
        sides = contest.prepare(stack)
        share = contest.seconds / (len(sides) * (contest.rounds + 1))
        samples = in_turn(sides, contest.rounds, tick=lambda: advance(share))
    return contest.rows(samples)
