"""The printed form of the rows: one table by family, and bars for what has a target."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import context, scoring
from bench.rows import AGAIN, Row

_BAR_CELLS = 40
_VERDICTS = {True: "[green]met[/green]", False: "[bold red]missed[/bold red]", None: ""}


def show(rows: Sequence[Row], console: Console) -> None:
    """Print all rows, the pictures, and how many targets were reached."""
    console.print(_table(rows))
    shares = [row for row in rows if _is_share(row)]
    _bars("Scoring as a share of the step, | is the target", shares, console, as_share=True)
    steps = [row for row in rows if row.family == context.FAMILY]
    _bars("Cost against context length, times the shortest", steps, console, as_share=False)
    console.print(summary(rows))


def summary(rows: Sequence[Row]) -> str:
    """How many targets were reached, and which were not."""
    judged = [row for row in rows if row.met is not None]
    missed = [row for row in judged if not row.met]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} targets reached"]
    lines += [
        f"  [red]missed[/red] {escape(row.name)}: {_ratio(row, row.ratio)}, "
        f"target {_ratio(row, row.target)}"
        for row in missed
    ]
    return "\n".join(lines)


def bar(value: float, target: float | None, full: float) -> str:
    """A bar of at most forty cells, with the target's place marked.

    Args:
        value: its length.
        target: where the mark stands, or None.
        full: value of a full bar.
    """
    cells = ["█"] * _cell(value, full) + [" "] * (_BAR_CELLS - _cell(value, full))
    if target is not None:
        cells.insert(_cell(target, full), "|")
    return "".join(cells).rstrip()


def _cell(value: float, full: float) -> int:
    return min(_BAR_CELLS, round(_BAR_CELLS * value / full)) if full > 0 else 0


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("what", overflow="fold", ratio=1, min_width=28)
    for heading in ("ours", "other", "ratio", "95% interval", "rounds", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    family = ""
    for row in rows:
        if row.family != family:
            family = row.family
            table.add_section()
            table.add_row(f"[bold]{escape(family)}[/bold]")
        table.add_row(*_cells(row), style="dim" if row.name.startswith(AGAIN) else None)
    return table


def _cells(row: Row) -> list[str]:
    wanted = "" if row.target is None else _ratio(row, row.target)
    sign = {"lower": "≤", "higher": "≥"}[row.better] if wanted else ""
    return [
        escape(row.name),
        f"{_number(row.ours)} {row.unit}",
        f"{_number(row.other)} {row.unit}",
        _ratio(row, row.ratio),
        f"{_ratio(row, row.low)} to {_ratio(row, row.high)}",
        str(row.rounds),
        f"{sign} {wanted}".strip(),
        _VERDICTS[row.met],
    ]


def _bars(title: str, rows: Sequence[Row], console: Console, *, as_share: bool) -> None:
    if not rows:
        return
    full = max(max(row.ratio, row.target or 0.0) for row in rows)
    width = max(len(row.name) for row in rows)
    console.print(f"[bold]{title}[/bold]")
    for row in rows:
        colour = {True: "green", False: "red", None: "cyan"}[row.met]
        figure = f"{row.ratio:.2%}" if as_share else f"{row.ratio:.2f}"
        drawn = bar(row.ratio, row.target, full)
        console.print(
            f"{escape(row.name):<{width}} {figure:>7} [{colour}]{drawn}[/{colour}]",
            no_wrap=True,
            overflow="crop",
            highlight=False,
        )
    console.print()


def _ratio(row: Row, value: float | None) -> str:
    """A share of the step in percent, everything else as a plain ratio."""
    if value is None:
        return ""
    return f"{value:.2%}" if _is_share(row) else f"{value:.3f}"


def _is_share(row: Row) -> bool:
    return row.family == scoring.FAMILY and not row.name.startswith(AGAIN)


def _number(value: float) -> str:
    """Three or four figures that can be compared at a glance."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
    return f"{value:,.{digits}f}"
