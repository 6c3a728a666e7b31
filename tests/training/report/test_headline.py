"""Page one shows the worst of several sets, in units that people plan with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.report.examples import claimed_set, evaluation_json, read, share
from training.report.headline import Headline, headlines, slices


def found(folder: Path, *more_tests: dict[str, object], minutes: float = 5) -> dict[str, Headline]:
    """The headlines of the example and further test sets, by key."""
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"] += more_tests
    shown = headlines(read(folder, evaluation), minutes_per_case=minutes)
    return {one.key: one for one in shown}


def test_the_detection_rate_is_that_of_the_dangerous_set_with_the_lowest(tmp_path: Path) -> None:
    """A mean over sets would hide the one that the probe misses."""
    harder = claimed_set("harder", dangerous=True, caught=150, alarms=0)

    rate = found(tmp_path, harder)["detection_rate"]

    assert (rate.of, rate.figure and rate.figure.as_json()) == ("harder", share(150, 300))


def test_false_alarms_are_stated_per_10000_with_their_hours(tmp_path: Path) -> None:
    noisy = claimed_set("noisy", dangerous=False, caught=290, alarms=6)

    shown = found(tmp_path, noisy, minutes=3)

    alarms, hours = shown["false_alarms_per_10000"], shown["reviewer_hours_per_10000"]
    assert alarms.figure is not None
    assert hours.figure is not None
    assert alarms.of == hours.of == "noisy"
    assert alarms.figure.value == pytest.approx(200)
    assert hours.figure.value == pytest.approx(200 * 3 / 60)
    assert hours.figure.high == pytest.approx(alarms.figure.high * 3 / 60)
    assert hours.figure.n == 300


def test_the_worst_slice_is_found_among_all_sets(tmp_path: Path) -> None:
    shown = found(tmp_path, claimed_set("small", dangerous=True, caught=20, alarms=0, n=20))

    worst = shown["worst_slice_caught"]
    assert worst.of == "small, case: context"
    assert worst.figure is not None
    assert worst.figure.as_json() == share(1, 10)
    assert shown["worst_slice_false_alarms"].of == "grave matters, case: context"


def test_every_headline_keeps_its_place_where_nothing_was_measured(tmp_path: Path) -> None:
    """A figure that is left out would not be missed."""
    evaluation = read(tmp_path, evaluation_json() | {"sections": {}})

    shown = headlines(evaluation, minutes_per_case=5)

    assert len(shown) == 6
    assert all(one.figure is None for one in shown)
    assert slices(evaluation) == 0
