"""Every contest keeps to its rounds and gives back what it held."""

from __future__ import annotations

import io
from contextlib import ExitStack

import pytest
from rich.console import Console

from bench.contest import Contest, Sides, run
from bench.programme import FAMILIES, programme
from bench.rows import Row, Samples, column, paired


def quiet() -> Console:
    return Console(file=io.StringIO())


def contest(name: str, measured: float, closed: list[str]) -> Contest:
    def prepare(stack: ExitStack) -> Sides:
        stack.callback(closed.append, name)
        return {"A": lambda: {"ms": 1.0 / measured}, "B": lambda: {"ms": 4.0}}

    def rows(samples: Samples) -> list[Row]:
        a, b = column(samples, "A", "ms"), column(samples, "B", "ms")
        return [paired(name, a, b, family="f", unit="ms")]

    return Contest(name=name, prepare=prepare, rows=rows, rounds=3, seconds=1)


def test_a_contest_makes_its_rows_and_closes_what_it_opened() -> None:
    closed: list[str] = []

    (row,) = run([contest("x", 1.0, closed)], quiet(), lambda rows: None)

    assert (row.ratio, row.rounds) == (0.25, 3)
    assert closed == ["x"]


def test_what_was_measured_is_kept_where_a_later_contest_fails() -> None:
    """Ten minutes of measuring were lost to the last family's error."""
    closed: list[str] = []
    kept: list[list[str]] = []

    def keep(rows: list[Row]) -> None:
        kept.append([row.name for row in rows])

    contests = [contest(name, ms, closed) for name, ms in (("x", 1.0), ("y", 2.0), ("z", 0.0))]
    with pytest.raises(ZeroDivisionError):
        run(contests, quiet(), keep)

    assert kept == [["x"], ["x", "y"]]
    assert closed == ["x", "y", "z"]


def test_no_model_is_loaded_before_its_contest() -> None:
    """`--family` for one model must not wait for the other."""
    contests = programme("no such model", quick=False, families=FAMILIES)

    assert contests


def test_a_full_run_has_eight_rounds_of_everything_that_is_timed() -> None:
    contests = programme("magpie", quick=False, families=FAMILIES)

    timed = [c for c in contests if not c.name.startswith("memory")]
    assert all(c.rounds >= 8 for c in timed)
    assert sum(c.seconds for c in contests) <= 20 * 60


def test_a_quick_run_fits_its_two_minutes() -> None:
    contests = programme("magpie", quick=True, families=FAMILIES)

    assert sum(c.seconds for c in contests) <= 2 * 60


def test_families_can_be_chosen() -> None:
    (contest,) = programme("magpie", quick=True, families=("memory",))

    assert contest.name == "memory, Magpie"
