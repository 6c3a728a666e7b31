"""What a benchmark says, row by row, and how two sides are made comparable.

Times drift on shared machines by more than what is measured here. So both sides
are measured in turn, A B A B, in one process; a row is the median of the paired
ratios with an interval that assumes no distribution; and beside every family
stands an A/A row, identical code on both sides, that shows what noise alone does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from probing.errors import ProbingError
from probing.estimates import median

AGAIN = "A/A"
"""How the name of a row begins that has identical code on both sides."""

Better = Literal["lower", "higher"]
Figures = Mapping[str, float]
"""What one measurement of one side gave, by name."""
Samples = Mapping[str, Sequence[Figures]]
"""By side, one entry a round; entries of the same index are a pair."""


class UnpairedSamples(ProbingError):
    """Two sides were not measured in pairs, so no ratio of them means anything."""

    code = "unpaired_samples"

    def __init__(self, name: str, ours: int, other: int) -> None:
        super().__init__(
            f"row {name!r} has {ours} measurements on one side and {other} on the other; "
            "measure both once in every round"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `results.json`."""

    name: str
    """What was compared, in words."""
    family: str
    """Rows that share an A/A row."""
    unit: str
    """Of `ours` and `other`."""
    ours: float
    """Median over the rounds."""
    other: float
    """The same for what stands against it."""
    ratio: float
    """Median of ours / other, taken round by round."""
    better: Better
    """Which way is good."""
    low: float
    """Lower end of the ratio's 95% interval; of few rounds, their lowest."""
    high: float
    """Upper end of the ratio's 95% interval; of few rounds, their highest."""
    rounds: int
    """Pairs behind it."""
    target: float | None = None
    """What the ratio has to reach; None where nothing is asked."""
    met: bool | None = None
    """Whether the ratio is on the good side of the target; None without one."""
    note: str = ""
    """What one must know to read it."""


def in_turn(
    sides: Mapping[str, Callable[[], Figures]],
    rounds: int,
    *,
    warmups: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, list[Figures]]:
    """Measure every side once a round, in the same order: A B A B.

    Args:
        sides: what measures each side once.
        rounds: pairs that are kept.
        warmups: rounds before them that are thrown away.
        tick: called after every measurement.
    """
    kept: dict[str, list[Figures]] = {name: [] for name in sides}
    for turn in range(warmups + rounds):
        for name, measure in sides.items():
            figures = measure()
            if turn >= warmups:
                kept[name].append(figures)
            tick()
    return kept


def paired(
    name: str,
    ours: Sequence[float],
    other: Sequence[float],
    *,
    family: str,
    unit: str,
    better: Better = "lower",
    target: float | None = None,
    note: str = "",
) -> Row:
    """A row from two sides that were measured in pairs.

    Raises:
        UnpairedSamples: the sides differ in length.
        UndefinedEstimate: there are no rounds.
    """
    if len(ours) != len(other):
        raise UnpairedSamples(name, len(ours), len(other))
    ratio = median(np.divide(np.asarray(ours, float), np.asarray(other, float)))
    return Row(
        name=name,
        family=family,
        unit=unit,
        ours=float(np.median(ours)),
        other=float(np.median(other)),
        ratio=ratio.value,
        better=better,
        low=ratio.low,
        high=ratio.high,
        rounds=ratio.n,
        target=target,
        met=verdict(ratio.value, target, better),
        note=note,
    )


def column(samples: Samples, side: str, figure: str) -> list[float]:
    """One figure of one side, round by round."""
    return [figures[figure] for figures in samples[side]]


def verdict(ratio: float, target: float | None, better: Better) -> bool | None:
    """Whether a ratio reaches its target; a ratio that is no number never does."""
    if target is None:
        return None
    return ratio <= target if better == "lower" else ratio >= target


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as they stand in the file."""
    return [asdict(row) for row in rows]


def write(rows: Sequence[Row], path: Path) -> None:
    """Write them, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(as_json(rows), indent=1) + "\n")
    unfinished.replace(path)
