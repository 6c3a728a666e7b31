"""The measure itself: pairing, intervals, verdicts, and the form of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.rows import (
    Better,
    Figures,
    Row,
    UnpairedSamples,
    column,
    in_turn,
    paired,
    verdict,
    write,
)
from probing.estimates import UndefinedEstimate

FIELDS = {"name", "ours", "other", "ratio", "better", "low", "high", "rounds", "target", "met"}


def row(ours: list[float], other: list[float], **told: float) -> Row:
    return paired("x", ours, other, family="f", unit="ms", target=told.get("target"))


def test_sides_are_measured_in_turn() -> None:
    """All of A before all of B would report the machine's drift as a difference."""
    order: list[str] = []

    def side(name: str) -> Figures:
        order.append(name)
        return {}

    in_turn({"A": lambda: side("A"), "B": lambda: side("B")}, 2, warmups=1)

    assert order == ["A", "B"] * 3


def test_the_first_round_warms_up_and_is_thrown_away() -> None:
    readings = iter([100.0, 1.0, 2.0, 3.0])

    samples = in_turn({"A": lambda: {"ms": next(readings)}}, 3, warmups=1)

    assert column(samples, "A", "ms") == [1.0, 2.0, 3.0]


def test_every_measurement_ticks_once() -> None:
    ticks: list[None] = []

    in_turn({"A": dict, "B": dict}, 3, warmups=1, tick=lambda: ticks.append(None))

    assert len(ticks) == 8


def test_the_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    """A drift that doubles both sides of a round must leave its ratio alone."""
    drifting = row([1.0, 2.0, 40.0], [2.0, 4.0, 80.0])

    assert drifting.ratio == drifting.low == drifting.high == 0.5
    assert (drifting.ours, drifting.other, drifting.rounds) == (2.0, 4.0, 3)


def test_the_interval_comes_from_order_statistics() -> None:
    """Eight pairs: their smallest and largest ratio; one stray round cannot stretch twenty."""
    eight = row([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0] * 8)
    twenty = row([1.0] * 19 + [1000.0], [1.0] * 20)

    assert (eight.low, eight.ratio, eight.high) == (1.0, 4.5, 8.0)
    assert (twenty.low, twenty.high) == (1.0, 1.0)


def test_sides_of_unequal_length_are_refused() -> None:
    with pytest.raises(UnpairedSamples):
        row([1.0, 2.0], [1.0])


def test_no_rounds_are_no_result() -> None:
    with pytest.raises(UndefinedEstimate):
        row([], [])


@pytest.mark.parametrize(
    ("ratio", "target", "better", "met"),
    [
        (0.9, 1.0, "lower", True),
        (1.0, 1.0, "lower", True),
        (1.1, 1.0, "lower", False),
        (0.9, 1.0, "higher", False),
        (1.0, 1.0, "higher", True),
        (1.1, 1.0, "higher", True),
        (float("nan"), 1.0, "lower", False),
        (float("nan"), 1.0, "higher", False),
        (5.0, None, "lower", None),
    ],
)
def test_met_follows_ratio_target_and_direction(
    ratio: float, target: float | None, better: Better, met: bool | None
) -> None:
    assert verdict(ratio, target, better) is met


def test_a_row_is_judged_by_its_ratio() -> None:
    assert row([2.0], [1.0], target=1.9).met is False
    assert row([2.0], [1.0], target=2.0).met is True
    assert row([2.0], [1.0]).met is None


def test_the_file_is_a_list_of_rows_with_the_agreed_fields(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "results.json"

    write([row([1.0, 3.0], [2.0, 2.0], target=1.0), row([1.0], [4.0])], path)

    read = json.loads(path.read_text())
    assert [set(entry) for entry in read] == [FIELDS | {"family", "unit", "note"}] * 2
    assert (read[0]["ratio"], read[0]["met"], read[0]["rounds"]) == (1.0, True, 2)
    assert (read[1]["target"], read[1]["met"]) == (None, None)
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_a_write_that_breaks_off_leaves_the_older_file_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file would be no JSON, and the rows of the contests before would be gone."""
    path = tmp_path / "results.json"
    write([row([1.0], [2.0])], path)
    before = path.read_bytes()

    def breaks_off(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", breaks_off)
    with pytest.raises(OSError, match="no space left"):
        write([row([3.0], [2.0])], path)

    assert path.read_bytes() == before
