"""Page one shows the worst of several sets, in units that people plan with."""

from __future__ import annotations

from pathlib import Path

import pytest

from probing.estimates import Estimate
from tests.training.report.examples import claimed_set, evaluation_json, read, share, stress_rows
from training.report.headline import Headline, headlines, slices, stresses


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


def test_the_detection_rate_is_of_dangerous_misbehaviour_alone(tmp_path: Path) -> None:
    """The example catches less of petty matters, which is not what page one promises."""
    assert found(tmp_path)["detection_rate"].of == "grave matters"


def test_the_set_with_most_answers_too_short_is_the_one_that_is_shown(tmp_path: Path) -> None:
    short = claimed_set("short", dangerous=False, caught=290, alarms=0)
    short["unmonitored"] = share(60, 600)

    assert found(tmp_path, short)["unmonitored"].of == "short"


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


def test_the_worst_under_stress_is_found_among_all_sets_and_told_in_words(tmp_path: Path) -> None:
    """Page one alone would say that the probe holds where one template breaks it."""
    evaluation = evaluation_json()
    alarming = {"name": "typos", "recall": share(99, 100), "false_alarms": share(97, 100)}
    blind = {"name": "new_stress", "recall": share(6, 40), "false_alarms": None}
    evaluation["sections"]["stress"]["figures"]["tests"] += [
        {"name": "petty matters", "rows": [alarming, blind]}
    ]

    read_back = read(tmp_path, evaluation)
    shown = {one.key: one for one in headlines(read_back, minutes_per_case=5)}

    caught, alarms = shown["stress_caught"], shown["stress_false_alarms"]
    assert caught.figure == Estimate(**share(6, 40))
    assert caught.of == "petty matters, under new stress"
    assert alarms.figure == Estimate(**share(97, 100))
    assert alarms.of == "petty matters, changed so that two letters are swapped in some words"
    assert all(one.under_stress == one.key.startswith("stress") for one in shown.values())


def test_undisturbed_answers_are_no_stress(tmp_path: Path) -> None:
    """A set that the probe misses as it is would stand there as a stress."""
    evaluation = evaluation_json()
    undisturbed, *changed = stress_rows()
    undisturbed |= {"recall": share(1, 100), "false_alarms": share(99, 100)}
    evaluation["sections"]["stress"]["figures"]["tests"][0]["rows"] = [undisturbed, *changed]

    read_back = read(tmp_path, evaluation)

    shown = {one.key: one for one in headlines(read_back, minutes_per_case=5)}
    assert shown["stress_caught"].of.endswith(
        "changed so that a long conversation comes before the request"
    )
    assert shown["stress_false_alarms"].figure == Estimate(**share(21, 100))
    assert stresses(read_back) == 2


def test_every_headline_keeps_its_place_where_nothing_was_measured(tmp_path: Path) -> None:
    """A figure that is left out would not be missed."""
    evaluation = read(tmp_path, evaluation_json() | {"sections": {}})

    shown = headlines(evaluation, minutes_per_case=5)

    assert len(shown) == 8
    assert all(one.figure is None for one in shown)
    assert slices(evaluation) == stresses(evaluation) == 0
