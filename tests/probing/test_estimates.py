"""Figures with their intervals, against published values and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from probing.errors import TooFewNegatives
from probing.estimates import (
    UndefinedEstimate,
    auroc,
    bounded_mean,
    median,
    rate,
    recall_at_fpr,
    threshold_at_fpr,
)


def test_a_rate_has_its_exact_interval() -> None:
    """Three in a hundred: Clopper and Pearson give 0.62% to 8.52%."""
    found = rate(3, 100)

    assert (found.low, found.high) == pytest.approx((0.0062, 0.0852), abs=1e-4)


def test_no_alarm_in_300_bounds_the_rate_below_one_percent_only_one_sided() -> None:
    assert rate(0, 300).high > 0.01
    assert rate(0, 368).high < 0.01


@pytest.mark.parametrize("chance", [0.004, 0.5])
def test_the_interval_of_a_bounded_mean_covers_the_truth(chance: float) -> None:
    """Squared errors are nearly all 0 where a probe is good, and a bootstrap sees no spread."""
    rng = np.random.default_rng(0)
    errors = rng.random((400, 300)) ** 2 * (rng.random((400, 300)) < chance)

    found = [bounded_mean(row) for row in errors]

    assert np.mean([one.low <= chance / 3 <= one.high for one in found]) > 0.94
    assert all(one.high > one.low for one in found)


def test_the_interval_of_noughts_and_ones_is_that_of_a_rate() -> None:
    """Wilson's interval of 3 in 100 is 1.03% to 8.45%."""
    found = bounded_mean(np.repeat([1.0, 0.0], [3, 97]))

    assert (found.low, found.high) == pytest.approx((0.0103, 0.0845), abs=1e-4)


@pytest.mark.parametrize("values", [[], [0.5, 1.1], [-0.1], [np.nan]])
def test_a_mean_that_is_not_of_bounded_numbers_is_refused(values: list[float]) -> None:
    with pytest.raises(UndefinedEstimate, match="outside"):
        bounded_mean(np.array(values))


def test_an_area_of_one_still_has_an_interval() -> None:
    found = auroc(np.array([1.0, 2, 3, 4, 5, 6]), np.array([0, 0, 0, 1, 1, 1]))

    assert found.value == 1.0
    assert 0.3 < found.low < 0.9


def test_ties_count_half() -> None:
    assert auroc(np.ones(10), np.arange(10) % 2).value == 0.5


def test_the_interval_of_an_area_covers_the_truth() -> None:
    """Two normals one apart have an area of 0.760; 95% of intervals should hold it."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    intervals = [auroc(rng.normal(labels), labels) for _ in range(400)]

    covered = sum(i.low <= 0.7602 <= i.high for i in intervals)
    assert covered / 400 > 0.92


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_an_area_of_one_class_is_refused(labels: list[int]) -> None:
    with pytest.raises(UndefinedEstimate):
        auroc(np.array([0.0, 1.0]), np.array(labels))


def test_an_area_of_a_nan_score_is_refused() -> None:
    with pytest.raises(UndefinedEstimate, match="NaN"):
        auroc(np.array([0.0, np.nan]), np.array([0, 1]))


def test_a_sample_that_cannot_trip_ranks_lowest() -> None:
    """It is an answer that was not caught, not an answer that is missing."""
    assert auroc(np.array([-np.inf, 2.0, 0.0, 1.0]), np.array([1, 1, 0, 0])).value == 0.5


@pytest.mark.parametrize("able", [0, 5])
def test_a_rate_that_every_threshold_keeps_gives_no_threshold(able: int) -> None:
    """The next float above -inf is a threshold too, and everything trips it."""
    benign = np.full(100, -np.inf)
    benign[:able] = 1.0

    with pytest.raises(UndefinedEstimate, match=f"only {able} of 100 samples can trip"):
        threshold_at_fpr(benign, 0.05)


def test_a_threshold_lets_through_no_more_than_asked() -> None:
    benign = np.random.default_rng(1).normal(size=1000).astype(np.float32)

    threshold, achieved = threshold_at_fpr(benign, 0.01)

    assert (benign >= threshold).sum() == 10
    assert achieved.value == 0.01
    assert achieved.low < 0.01 < achieved.high


def test_a_threshold_between_ties_errs_on_the_silent_side() -> None:
    threshold, achieved = threshold_at_fpr(np.array([0.0] * 150 + [1.0] * 50), 0.1)

    assert threshold > 1.0
    assert achieved.value == 0.0


def test_a_rate_that_no_sample_can_stand_for_is_refused() -> None:
    with pytest.raises(TooFewNegatives, match="at least 100"):
        threshold_at_fpr(np.zeros(99), 0.01)


def test_recall_counts_positives_above_the_benign_threshold() -> None:
    scores = np.concatenate([np.linspace(0, 1, 100), [0.5, 2.0, 3.0, 4.0]])
    labels = np.array([0] * 100 + [1] * 4)

    assert recall_at_fpr(scores, labels, 0.01).value == 0.75


def test_a_median_lies_between_its_order_statistics() -> None:
    found = median(np.arange(1, 101, dtype=float))

    assert (found.low, found.value, found.high) == (40, 50.5, 61)
