"""Hours of reviewing: from claim to verdict, one lease at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.errors import InvalidSpecification
from probing.estimates import UndefinedEstimate
from service.figures.hours import TimedVerdict, reviewer_hours

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def verdict(seconds: float, lease_seconds: float = 600) -> TimedVerdict:
    return TimedVerdict(
        claimed_at=NOON, ruled_at=NOON + timedelta(seconds=seconds), lease_seconds=lease_seconds
    )


def test_median_total_and_hours_per_hundred() -> None:
    found = reviewer_hours([verdict(seconds) for seconds in (36, 72, 108, 72, 72)])

    assert found.median_seconds.value == 72
    assert found.total_hours == pytest.approx(0.1)
    assert found.hours_per_100_verdicts.value == pytest.approx(2)
    assert found.hours_per_100_verdicts.low < 2 < found.hours_per_100_verdicts.high
    assert found.cut == 0


def test_a_verdict_counts_one_lease_at_most() -> None:
    """Who claims a case on Friday and rules on Monday has not read for three days."""
    found = reviewer_hours([verdict(3 * 86400), verdict(60), verdict(600)])

    assert found.total_hours == pytest.approx((600 + 60 + 600) / 3600)
    assert found.cut == 1


@pytest.mark.parametrize("seconds", [[90], [600, 600, 600]])
def test_equal_times_leave_an_interval(seconds: list[float]) -> None:
    found = reviewer_hours([verdict(one) for one in seconds]).hours_per_100_verdicts

    assert found.low < found.high
    assert found.low <= found.value <= found.high


def test_no_verdicts_give_no_hours() -> None:
    with pytest.raises(UndefinedEstimate, match="no verdicts"):
        reviewer_hours([])


def test_a_verdict_before_its_claim_is_refused() -> None:
    """Two clocks that disagree would count negative work."""
    with pytest.raises(InvalidSpecification, match="claim"):
        verdict(-1)


@pytest.mark.parametrize("lease_seconds", [0, -1, float("nan")])
def test_a_lease_is_above_nought(lease_seconds: float) -> None:
    with pytest.raises(InvalidSpecification, match="lease"):
        verdict(1, lease_seconds)


@given(st.lists(st.floats(0, 2000), min_size=1, max_size=30))
def test_the_total_is_the_mean_times_the_number(seconds: list[float]) -> None:
    found = reviewer_hours([verdict(one) for one in seconds], resamples=50)

    hundredth = found.hours_per_100_verdicts.value / 100
    assert found.total_hours == pytest.approx(hundredth * len(seconds), abs=1e-9)
    assert found.total_hours <= len(seconds) * 600 / 3600 + 1e-9


def test_the_interval_covers_the_mean_of_skewed_times() -> None:
    """Reading times have a long tail; here they are exponential with a mean of 90 seconds."""
    rng = np.random.default_rng(0)
    truth = 90 * (1 - np.exp(-600 / 90)) * 100 / 3600

    found = [
        reviewer_hours(
            [verdict(one) for one in rng.exponential(90, 80)], resamples=400
        ).hours_per_100_verdicts
        for _ in range(200)
    ]
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.9
