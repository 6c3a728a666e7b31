"""Thresholds at stated rates, refused where a set is too small, and judged elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from probing.estimates import UndefinedEstimate, rate
from training.thresholds.rates import BenignSet, caution, thresholds, transfers, tripping


def benign(name: str, count: int, *, shift: float = 0.0, first: int = 0) -> BenignSet:
    """Peaks at even steps from `shift` on, so that rates can be counted by hand."""
    peaks = (shift + np.arange(count) / count).astype(np.float32).astype(np.float64)
    ids = tuple(f"answer-{first + number}" for number in range(count))
    return BenignSet(name=name, peaks=peaks, ids=ids)


def test_each_set_gives_a_threshold_at_each_rate() -> None:
    found = thresholds([benign("a", 2000), benign("b", 1000, shift=3)])

    assert [(r.set_on, r.fpr, r.n) for r in found] == [
        ("a", 0.01, 2000), ("a", 0.001, 2000), ("b", 0.01, 1000), ("b", 0.001, 1000),
    ]  # fmt: skip
    assert [r.achieved and round(r.achieved.value * r.n) for r in found] == [20, 2, 10, 1]
    assert all(r.refusal is None for r in found)


def test_a_set_that_cannot_support_a_rate_is_refused_with_its_reason() -> None:
    """At fewer than 1 / rate answers the threshold would be that of no alarm at all."""
    found = thresholds([benign("small", 999)])

    assert found[0].threshold is not None
    assert (found[1].threshold, found[1].achieved, found[1].caution) == (None, None, None)
    assert "at least 1000 are needed" in (found[1].refusal or "")


def test_a_set_of_answers_too_short_is_refused_and_counted() -> None:
    short = BenignSet(name="short", peaks=np.full(200, -np.inf), ids=("x",) * 200)

    (found,) = thresholds([short], rates=[0.01])

    assert found.too_short == 200
    assert "only 0 of 200 samples can trip" in (found.refusal or "")


@pytest.mark.parametrize(("alarms", "n", "told"), [(10, 1000, False), (2, 200, True)])
def test_an_interval_that_reaches_twice_the_rate_is_told(alarms: int, n: int, told: bool) -> None:
    """2 in 200 is 1%, and 3.6% cannot be excluded."""
    words = caution(rate(alarms, n), 0.01)

    assert (words is not None) == told
    assert words is None or "reaches 3.57%, more than twice the asked rate" in words


def test_the_caution_stands_in_the_row() -> None:
    (found,) = thresholds([benign("few", 200)], rates=[0.01])

    assert "200 answers do not show that 1.00% is kept" in (found.caution or "")


def test_a_threshold_is_judged_on_every_set() -> None:
    """What holds for one mix of answers need not hold for another."""
    sets = [benign("low", 100), benign("high", 100, shift=0.5, first=50)]

    found = transfers(sets, thresholds(sets, rates=[0.01]))

    by_pair = {(r.set_on, r.judged_on): r for r in found}
    assert len(found) == 4
    assert by_pair["low", "low"].rate.value == 0.01
    assert by_pair["low", "high"].rate.value == 0.51
    assert by_pair["high", "low"].rate.value == 0
    assert by_pair["low", "high"].rate.n == 100


def test_answers_that_the_threshold_has_seen_are_counted() -> None:
    """Judged on its own answers a threshold keeps its rate by construction."""
    sets = [benign("low", 100), benign("high", 100, first=50), benign("far", 100, first=500)]

    found = transfers(sets, thresholds(sets, rates=[0.01]))

    shared = {(r.set_on, r.judged_on): r.shared for r in found}
    assert shared["low", "low"] == 100
    assert shared["low", "high"] == shared["high", "low"] == 50
    assert shared["low", "far"] == 0


def test_a_refused_threshold_is_not_judged() -> None:
    sets = [benign("small", 20), benign("large", 100)]

    found = transfers(sets, thresholds(sets, rates=[0.01]))

    assert {r.set_on for r in found} == {"large"}
    assert {r.judged_on for r in found} == {"small", "large"}


def test_an_answer_trips_at_its_threshold_as_it_does_live() -> None:
    """Live both are float32; in float64 an answer at the threshold would stand below it."""
    peak = float(np.float32(0.7))

    assert peak < 0.7
    assert tripping(np.array([peak, -np.inf]), 0.7).value == 0.5


def test_a_share_of_no_answers_is_refused() -> None:
    with pytest.raises(UndefinedEstimate):
        tripping(np.array([]), 0.0)
