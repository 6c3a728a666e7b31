"""One progress bar for every long step: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Advance = Callable[[int], None]
"""Called with how many more units are done."""


class _Rate(ProgressColumn):
    """Units per second since the step began."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        shown = f"{speed:,.0f}" if speed else "-"
        return Text(f"{shown:>7} {self._unit}/s", no_wrap=True)


@contextmanager
def progress(console: Console, step: str, total: int, unit: str) -> Iterator[Advance]:
    """Show a bar while a step of `total` units runs: share, rate, time left, at the end time taken.

    Where nothing is a terminal, only its last state is written.
    """
    columns = (
        TextColumn(f"{step:<24}"),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        _Rate(unit),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(step, total=total)
        yield lambda units: bar.advance(task, units)
