"""Whatever a section measured, as tables: a figure that has no plot is still on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probing.estimates import Estimate
from training.report.evaluation import ClaimedSet, Control, Json, Part, estimate, is_estimate
from training.report.findings import in_per_cent
from training.report.shown import Shown, Unit, number, shown, unit_of

Cell = str | Shown
NOT_MEASURED = "not measured"
NO_REMARK = "–"
INLINE_MAX = 8
"""Numbers of a list that stand in one cell; longer ones are in the evaluation's file."""
TERMS = {
    "auroc": "AUROC",
    "auroc_bca": "AUROC, bootstrap interval",
    "log_pauc": "partial AUROC, log axis",
    "recall": "caught",
    "fpr": "false alarms asked for",
    "released": "tokens released before the stop",
    "sentence": "tokens until the first misbehaving sentence is out",
    "before_sentence": "stopped before that sentence is out",
}
"""Names of the file for which the page has another word."""
PART_HEADS = ("AUROC", "AUROC of words alone", "caught", "false alarms")
SILENT = frozenset({"tests", "rows", "points"})
"""Names of the file that say nothing to a reader."""
VERBATIM = frozenset({"id"})
"""Names of the file whose texts are looked up by their letters, underscores and all."""
HEAT = (0.99, 0.95, 0.85, 0.7)
"""Least areas of the shades of a matrix, the deepest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as they stand on the page."""

    title: str
    """Its caption."""
    heads: tuple[str, ...]
    """One for each column."""
    rows: tuple[tuple[Cell, ...], ...]
    """The first cell of each names it."""
    shades: tuple[tuple[int | None, ...], ...] = field(default=())
    """Of a matrix: 0 to 4 for each cell but the first, the deepest first; None for no figure."""


def matrix_table(
    title: str,
    corner: str,
    matrix: Mapping[str, Mapping[str, Json | None]],
    kinds: Mapping[str, str],
) -> Table:
    """Areas of rows on columns, shaded; the numbers say the same as the shades.

    Args:
        corner: what a row is.
        kinds: "benign" or "dangerous" by column; those of a kind stand together.
    """
    found = dict.fromkeys(name for row in matrix.values() for name in row)
    columns = sorted(found, key=lambda name: str(kinds.get(name, "")))
    figures = [[estimate(row.get(name)) for name in columns] for row in matrix.values()]
    rows = [
        (readable(name), *(figure_cell(figure, Unit.AREA) for figure in row))
        for name, row in zip(matrix, figures, strict=True)
    ]
    return Table(
        title=title,
        heads=(
            corner,
            *(
                f"{readable(name)} ({kinds[name]})" if name in kinds else readable(name)
                for name in columns
            ),
        ),
        rows=tuple(rows),
        shades=tuple(tuple(map(_shade, row)) for row in figures),
    )


def sets_table(tests: Sequence[ClaimedSet]) -> Table:
    """Whole test sets, the dangerous ones first."""
    rows = [
        (
            test.name,
            "dangerous" if test.dangerous else "harmless",
            *_part_cells(test.whole),
            figure_cell(test.unmonitored, Unit.SHARE),
        )
        for test in tests
    ]
    heads = ("test set", "misbehaviour", *PART_HEADS, "too short to be judged")
    return Table(title="At the shipped threshold, set by set", heads=heads, rows=tuple(rows))


def parts_table(test: ClaimedSet) -> Table:
    """Slices of one test set."""
    rows = tuple((readable(part.name), *_part_cells(part)) for part in test.parts)
    return Table(title=f"Slices of {test.name}", heads=("slice", *PART_HEADS), rows=rows)


def controls_table(controls: Sequence[Control]) -> Table:
    """Every control and what came of it."""
    told = {True: "passed", False: "speaks against the probe", None: NOT_MEASURED}
    rows = tuple((control.name, told[control.passed]) for control in controls)
    return Table(title="What came of each control", heads=("control", "outcome"), rows=rows)


def rates_table(tests: Sequence[ClaimedSet]) -> Table:
    """Recall at stated rates of false alarms, with thresholds set on the test's own answers."""
    rates = list(dict.fromkeys(rate for test in tests for rate in test.recall_at))
    rows = [
        (test.name, *(figure_cell(test.recall_at.get(rate), Unit.SHARE) for rate in rates))
        for test in tests
    ]
    return Table(
        title="Caught, were the threshold set on honest answers of the test set itself",
        heads=("test set", *(f"at {number(rate, Unit.SHARE)} false alarms" for rate in rates)),
        rows=tuple(rows),
    )


def tables_of(figures: Json, title: str = "") -> Iterator[Table]:
    """Nested figures as tables, none of them left out."""
    own = {key: value for key, value in figures.items() if _fits(value)}
    if own:
        rows = tuple((readable(key), _cell(key, value)) for key, value in own.items())
        yield Table(title=title or "Figures", heads=("figure", "value"), rows=rows)
    for key, value in figures.items():
        own_name = "" if key in SILENT else readable(key)
        name = ", ".join(part for part in (title, own_name) if part)
        if isinstance(value, dict) and not is_estimate(value):
            yield from _of_mapping(name, value)
        elif isinstance(value, list) and not _fits(value):
            yield from _of_list(name, value)


def readable(name: str) -> str:
    """A name of the file in the words of the page."""
    return TERMS.get(name, name.replace("_", " "))


def _of_mapping(name: str, value: Json) -> Iterator[Table]:
    alike = all(isinstance(row, dict) and not is_estimate(row) for row in value.values())
    if value and alike:
        yield _of_rows(name, [{"": key, **row} for key, row in value.items()])
    else:
        yield from tables_of(value, name)


def _of_list(name: str, value: list[Any]) -> Iterator[Table]:
    if not all(isinstance(row, dict) for row in value):
        yield Table(title=name, heads=("figure", "value"), rows=((name, _told(value)),))
    elif any(_holds_rows(row) for row in value):
        for place, row in enumerate(value, 1):
            key = next((key for key, cell in row.items() if isinstance(cell, str)), "")
            own = readable(row.get(key, str(place)))
            yield from tables_of(_without(row, key), f"{name}: {own}" if name else own)
    else:
        yield _of_rows(name, value)


def _holds_rows(row: Json) -> bool:
    """Whether a row has a table of its own inside."""
    lists = (value for value in row.values() if isinstance(value, list))
    return any(value and isinstance(value[0], dict) for value in lists)


def _of_rows(name: str, rows: Sequence[Json]) -> Table:
    flat = [dict(_flat(row)) for row in rows]
    heads = list(dict.fromkeys(key for row in flat for key in row))
    remarks = {key for key in heads if _holds_remarks(key, [row.get(key) for row in flat])}
    cells = []
    for row in flat:
        first, *others = (
            NO_REMARK if key in remarks and row.get(key) is None else _cell(key, row.get(key))
            for key in heads
        )
        cells.append((first if heads[0] in VERBATIM else _named(first), *others))
    return Table(title=name, heads=tuple(map(readable, heads)), rows=tuple(cells))


def _holds_remarks(key: str, column: Sequence[Any]) -> bool:
    """Whether a column is for words, so that an empty cell is no missing figure."""
    found = [value for value in column if value is not None]
    return unit_of(key) is Unit.PLAIN and all(isinstance(value, str) for value in found)


def _flat(row: Json, before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict) and not is_estimate(value):
            yield from _flat(value, f"{before}{key}: ")
        else:
            yield f"{before}{key}", value


def _fits(value: Any) -> bool:
    if isinstance(value, list):
        plain = all(not isinstance(one, list | dict) for one in value)
        return plain and len(value) <= INLINE_MAX
    return not isinstance(value, dict) or is_estimate(value)


def _cell(key: str, value: Any) -> Cell:
    unit = unit_of(key)
    if value is None or is_estimate(value):
        return figure_cell(estimate(value), unit)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value, unit if isinstance(value, float) else Unit.PLAIN)
    if isinstance(value, list):
        return ", ".join(str(_cell(key, one)) for one in value) if _fits(value) else _told(value)
    return in_per_cent(str(value), {})


def figure_cell(figure: Estimate | None, unit: Unit) -> Cell:
    """A figure as it stands in a table, or that there is none."""
    return NOT_MEASURED if figure is None else shown(figure, unit)


def _named(cell: Cell) -> Cell:
    """The cell that names a row."""
    return readable(cell) if isinstance(cell, str) else cell


def _without(figures: Json, key: str) -> Json:
    return {k: v for k, v in figures.items() if k != key}


def _told(entries: Sequence[Any]) -> str:
    return f"{len(entries):,} entries, in the evaluation's file"


def _part_cells(part: Part) -> tuple[Cell, ...]:
    return (
        figure_cell(part.auroc, Unit.AREA),
        figure_cell(part.auroc_words, Unit.AREA),
        figure_cell(part.recall, Unit.SHARE),
        figure_cell(part.false_alarms, Unit.SHARE),
    )


def _shade(figure: Estimate | None) -> int | None:
    if figure is None:
        return None
    return next((n for n, least in enumerate(HEAT) if figure.value >= least), len(HEAT))
