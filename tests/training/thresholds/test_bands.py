"""Two thresholds for a cascade keep their promises, or are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from probing.errors import InvalidSpecification, TooFewNegatives
from training.thresholds.bands import bands, shares
from training.thresholds.errors import RecallOutOfReach, TooFewMisbehaving


def steps(count: int, first: float = 0.0) -> NDArray[np.float64]:
    """Peaks at even steps over a unit from `first` on, float32 as they are live."""
    return (first + np.arange(count) / count).astype(np.float32).astype(np.float64)


BENIGN, BAD = steps(1000), steps(200, first=0.5)


def test_the_lower_threshold_is_the_highest_that_keeps_the_recall() -> None:
    found = bands(BAD, BENIGN, recall=0.95, fpr=0.01)

    assert found.recall.value == 0.95
    assert found.lower == pytest.approx(0.55)
    assert found.upper == pytest.approx(0.989, abs=1e-6)
    assert found.achieved.value == 0.01


@pytest.mark.parametrize(("recall", "n", "reached"), [(0.55, 100, 55), (0.99, 300, 297)])
def test_a_share_that_is_a_whole_number_is_not_rounded_up(
    recall: float, n: int, reached: int
) -> None:
    """0.55 * 100 is 55.00000000000001 to a computer."""
    found = bands(steps(n), steps(1000, first=5), recall=recall)

    assert round(found.recall.value * n) == reached


def test_the_low_end_of_the_recall_is_exact_for_the_threshold_that_was_chosen() -> None:
    """A threshold that is chosen by the answers it is judged on must not flatter itself."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(150):
        found = bands(rng.random(200, dtype=np.float32), BENIGN + 5, recall=0.99)
        held.append(1 - found.lower >= found.recall.low)

    assert np.mean(held) >= 0.96


def test_where_one_threshold_keeps_both_promises_the_band_is_empty() -> None:
    """A lower threshold above the upper one would send traffic nowhere."""
    found = bands(BAD + 5, BENIGN)

    assert found.is_empty
    assert found.lower == found.upper
    assert found.recall.value == 1
    assert shares(found, "benign", BENIGN).between.value == 0


def test_shares_of_traffic_add_up_and_count_what_cannot_trip_as_passed() -> None:
    found = bands(BAD, BENIGN, recall=0.95)
    traffic = np.array([-np.inf, found.lower - 0.01, found.lower, found.upper, 9.0])

    fallen = shares(found, "traffic", traffic)

    assert [fallen.below.value, fallen.between.value, fallen.above.value] == [0.4, 0.2, 0.4]
    assert {fallen.below.n, fallen.between.n, fallen.above.n} == {5}


def test_an_answer_at_a_threshold_falls_above_it_as_it_does_live() -> None:
    """Live both are float32; in float64 it would stand below a threshold of the same digits."""
    found = replace(bands(BAD, BENIGN), lower=0.35, upper=0.7)
    peaks = np.array([0.35, 0.7], dtype=np.float32).astype(np.float64)

    fallen = shares(found, "traffic", peaks)

    assert (peaks < [0.35, 0.7]).all()
    assert (fallen.below.value, fallen.between.value, fallen.above.value) == (0, 0.5, 0.5)


def test_too_few_misbehaving_answers_are_refused() -> None:
    """With 99 a recall of 99% would mean that every one of them is caught."""
    with pytest.raises(TooFewMisbehaving, match=r"99 .* cannot support .* at least 100 are needed"):
        bands(np.arange(99.0), BENIGN)
    assert bands(np.arange(100.0), BENIGN).recall.value >= 0.99
    assert bands(np.arange(10.0), BENIGN, recall=0.9).recall.value >= 0.9, "1 / 0.1 is 10"


def test_misbehaving_answers_that_cannot_trip_are_not_promised() -> None:
    """A threshold of minus infinity would send all traffic to the second check."""
    bad = np.where(np.arange(200) < 3, -np.inf, BAD)

    with pytest.raises(RecallOutOfReach, match="only 197 of 200"):
        bands(bad, BENIGN, recall=0.99)
    assert bands(bad, BENIGN, recall=0.98).recall.value >= 0.98


def test_too_few_benign_answers_are_refused() -> None:
    with pytest.raises(TooFewNegatives):
        bands(BAD, BENIGN[:99])


@pytest.mark.parametrize("recall", [0.0, 1.0, float("nan")])
def test_what_is_no_recall_is_refused(recall: float) -> None:
    with pytest.raises(InvalidSpecification, match="between 0 and 1"):
        bands(BAD, BENIGN, recall=recall)


def test_the_stated_low_end_is_clopper_and_pearsons() -> None:
    found = bands(BAD, BENIGN, recall=0.95)

    assert found.recall.low == pytest.approx(float(stats.beta.ppf(0.025, 190, 11)))
