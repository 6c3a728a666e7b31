"""The bootstrap over units, against another implementation and at its ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from probing.estimates import UndefinedEstimate
from service.figures.resampling import interval, ratio, share, slack


def test_the_interval_is_that_of_another_implementation() -> None:
    """SciPy's BCa of a mean; both are resampled, so they agree to what resampling leaves."""
    values = np.random.default_rng(0).exponential(1.0, 60)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval

    ours = interval(np.stack([values, np.ones(60)], axis=1), ratio, resamples=20_000)

    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_the_same_seed_gives_the_same_interval() -> None:
    """A report that changes when it is opened again is not believed."""
    units = np.stack([np.arange(50.0), np.full(50, 50.0)], axis=1)

    assert interval(units, ratio, seed=4) == interval(units, ratio, seed=4)
    assert interval(units, ratio, seed=4) != interval(units, ratio, seed=5)


def test_a_long_list_is_resampled_in_stretches() -> None:
    """All resamples of 60,000 different units at once would take a gigabyte."""
    values = np.random.default_rng(0).normal(10.0, 1.0, 60_000)
    found = interval(np.stack([values, np.ones_like(values)], axis=1), ratio, resamples=80)

    assert found is not None
    assert found[1] - found[0] == pytest.approx(2 * 1.96 / np.sqrt(60_000), rel=0.4)


def test_the_interval_holds_the_figure_that_all_resamples_exceed() -> None:
    """An estimate outside its own interval cannot be explained to anybody."""
    values = np.random.default_rng(2).normal(size=30)
    units = np.stack([values, np.ones(30)], axis=1)

    found = interval(units, lambda sums: (ratio(sums) - values.mean()) ** 2)

    assert found is not None
    assert found[0] <= 0 <= found[1]


def test_units_that_are_all_alike_tell_nothing_of_the_spread() -> None:
    assert interval(np.full((9, 2), 0.3), ratio) is None


def test_a_share_keeps_to_its_range() -> None:
    found = share(np.array([2.0, 2.0]), np.array([2.0, 2.0]))

    assert (found.value, found.high, found.n) == (1, 1, 2)
    assert found.low == pytest.approx(1 - slack(2))


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UndefinedEstimate, match="no units"):
        share(np.array([]), np.array([]))
