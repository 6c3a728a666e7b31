"""Bootstrap intervals of areas: definitions the slow way, another implementation, simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from probing.bootstrap import (
    _acceleration,
    _by_log_rate,
    _Levels,
    _pairwise,
    auroc_bca,
    log_partial_auroc,
)
from probing.errors import InvalidSpecification, TooFewNegatives
from probing.estimates import Estimate, UndefinedEstimate, auroc

Floats = NDArray[np.float64]


def sample(
    positives: int, negatives: int, *, shift: float = 1.0, seed: int = 0, step: float = 0.0
) -> tuple[Floats, NDArray[np.int64]]:
    """Two normals `shift` apart; rounded to multiples of `step`, so that there are ties."""
    labels = np.repeat([1, 0], [positives, negatives])
    scores = np.random.default_rng(seed).normal(shift * labels)
    return (np.round(scores / step) * step if step else scores), labels


def slow_area(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Pair by pair."""
    pairs = list(itertools.product(positives, negatives))
    return sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs)


def slow_log_partial(
    positives: Floats, negatives: Floats, low: float = 1e-3, high: float = 1e-1
) -> float:
    """The step function, integrated over its steps."""
    thresholds = {score for score in (*positives, *negatives) if math.isfinite(score)}
    steps = [(0.0, 0.0)]
    steps += [(float(np.mean(negatives >= t)), float(np.mean(positives >= t))) for t in thresholds]
    edges = sorted({low, high, *(fpr for fpr, _ in steps if low < fpr < high)})
    total = 0.0
    for left, right in itertools.pairwise(edges):
        recall = max(recall for fpr, recall in steps if fpr <= left)
        total += recall * (math.log10(right) - math.log10(left))
    return total / math.log10(high / low)


def true_log_partial(shift: float) -> float:
    """Of two normals `shift` apart."""

    def recall(log_fpr: float) -> float:
        return float(stats.norm.sf(stats.norm.isf(10**log_fpr) - shift))

    return float(integrate.quad(recall, -3, -1)[0]) / 2


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_the_area_is_that_of_all_pairs(step: float) -> None:
    scores, labels = sample(30, 40, step=step)
    scores[[0, 35]] = -np.inf

    found = auroc_bca(scores, labels, resamples=200)

    assert found.value == pytest.approx(slow_area(scores[labels == 1], scores[labels == 0]))
    assert found.value == pytest.approx(auroc(scores, labels).value)
    assert found.n == 70


@pytest.mark.parametrize("step", [0.0, 0.25])
def test_the_log_partial_area_is_the_integral_of_the_step_function(step: float) -> None:
    scores, labels = sample(80, 1500, shift=2, step=step)
    scores[[0, 1, 700, 701]] = -np.inf

    found = log_partial_auroc(scores, labels, resamples=100)

    assert found.value == pytest.approx(slow_log_partial(scores[labels == 1], scores[labels == 0]))
    assert found.n == 1580


def test_a_positive_earns_the_decades_above_the_negatives_that_reach_it() -> None:
    """Above all 1,000 it earns both decades, above all but ten one of two, below 500 none."""
    scores = np.concatenate([[2000.0, 989.5, 500.0], np.arange(1000.0)])
    labels = np.repeat([1, 0], [3, 1000])

    assert log_partial_auroc(scores, labels).value == pytest.approx((1 + 0.5 + 0) / 3)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_interval_of_an_area_is_that_of_another_implementation(seed: int) -> None:
    scores, labels = sample(40, 60, shift=2, seed=seed)
    positives, negatives = scores[labels == 1], scores[labels == 0]

    def area(p: Floats, n: Floats, axis: int = -1) -> Floats:
        return (p[..., :, None] > n[..., None, :]).mean(axis=(-2, -1))

    other = stats.bootstrap(
        (positives, negatives), area, n_resamples=4000, method="BCa",
        rng=np.random.default_rng(1), batch=500,
    ).confidence_interval  # fmt: skip
    found = auroc_bca(scores, labels, resamples=4000)

    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.006)


def left_out(scores: Floats, labels: NDArray[np.int64], area: Callable[..., float]) -> float:
    """The acceleration by leaving out one sample after the other."""
    cubes = squares = 0.0
    for label in (1, 0):
        own = np.flatnonzero(labels == label)
        without = []
        for one in own:
            kept = np.delete(np.arange(len(scores)), one)
            rest, names = scores[kept], labels[kept]
            without.append(area(rest[names == 1], rest[names == 0]))
        n = len(own)
        pulls = (n - 1) * (np.mean(without) - np.array(without))
        cubes += (pulls**3).sum() / n**3
        squares += (pulls**2).sum() / n**2
    return float(cubes / (6 * squares**1.5))


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_the_acceleration_is_that_of_leaving_out_one_sample_at_a_time(step: float) -> None:
    scores, labels = sample(20, 60, shift=1.5, step=step)
    levels = _Levels.of("", scores, labels)

    def partial(positives: Floats, negatives: Floats) -> float:
        return slow_log_partial(positives, negatives, 0.02, 0.2)

    assert _acceleration(levels, _pairwise) == pytest.approx(left_out(scores, labels, slow_area))
    assert _acceleration(levels, _by_log_rate(0.02, 0.2)) == pytest.approx(
        left_out(scores, labels, partial)
    )


def covered(estimates: Sequence[Estimate], truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in estimates]))


def test_the_interval_of_an_area_covers_the_truth() -> None:
    truth = float(stats.norm.cdf(1 / math.sqrt(2)))
    found = [auroc_bca(*sample(40, 60, seed=seed), resamples=500) for seed in range(300)]

    assert 0.9 <= covered(found, truth) <= 0.99


def test_the_interval_of_a_log_partial_area_covers_the_truth() -> None:
    found = [
        log_partial_auroc(*sample(60, 1000, shift=2, seed=seed), resamples=300)
        for seed in range(300)
    ]

    assert 0.9 <= covered(found, true_log_partial(2)) <= 0.99


@pytest.mark.parametrize("figure", [auroc_bca, log_partial_auroc])
def test_only_the_order_of_scores_counts(figure: Callable[..., Estimate]) -> None:
    """Else a threshold's unit would change what is reported of the same probe."""
    scores, labels = sample(60, 1000, shift=2, step=0.1)

    plain = figure(scores, labels, resamples=200)

    assert figure(np.exp(scores), labels, resamples=200) == plain
    assert figure(3 * scores - 7, labels, resamples=200) == plain


def test_the_same_seed_gives_the_same_interval() -> None:
    scores, labels = sample(40, 60)

    first = auroc_bca(scores, labels, seed=1)

    assert auroc_bca(scores, labels, seed=1) == first
    assert auroc_bca(scores, labels, seed=2) != first


def test_resampling_in_blocks_changes_no_class_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that mixed up its rows would move every area."""
    scores, labels = sample(40, 60)
    whole = auroc_bca(scores, labels, resamples=2000)
    monkeypatch.setattr("probing.bootstrap._NUMBERS_MAX", 700)

    parts = auroc_bca(scores, labels, resamples=2000)

    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)


def test_an_area_of_one_has_no_bootstrap_interval() -> None:
    """Width 0 would claim a certainty that no sample gives."""
    with pytest.raises(UndefinedEstimate, match=r"all 2000 resamples agree, .* use auroc"):
        auroc_bca(np.arange(20.0), np.repeat([0, 1], 10))


@pytest.mark.parametrize("shift", [5.0, -5.0])
def test_at_either_end_the_interval_holds_the_truth_and_has_a_width(shift: float) -> None:
    truth = true_log_partial(shift)
    found = [
        log_partial_auroc(*sample(20, 1000, shift=shift, seed=seed), resamples=200)
        for seed in range(40)
    ]

    at_the_end = [one for one in found if one.value in (0, 1)]
    assert len(at_the_end) > 10
    assert covered(at_the_end, truth) == 1
    assert all(one.high - one.low > 0.1 for one in at_the_end)


def test_the_exact_low_end_is_the_one_that_is_written_down() -> None:
    """1,000 negatives, so two of them stand for the rate of 0.1%, and 300 positives above."""
    scores = np.concatenate([np.arange(300.0) + 5000, np.arange(1000.0)])
    labels = np.repeat([1, 0], [300, 1000])

    found = log_partial_auroc(scores, labels)

    limit = stats.binomtest(1, 1000).proportion_ci(0.975, method="exact").high
    expected = 0.0125 ** (1 / 300) * math.log10(0.1 / limit) / 2
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(expected)


def test_too_few_negatives_for_the_least_rate_are_refused() -> None:
    """With 999 the recall at 0.1% would be that at no false alarm at all."""
    scores, labels = sample(20, 999)

    with pytest.raises(TooFewNegatives, match="at least 1000 are needed"):
        log_partial_auroc(scores, labels)
    assert log_partial_auroc(scores, labels, low=0.01, resamples=100).n == 1019


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (0.1, 0.1), (0.1, 0.01), (0.01, 1.5)])
def test_what_is_no_range_of_rates_is_refused(low: float, high: float) -> None:
    with pytest.raises(InvalidSpecification, match="0 < low < high <= 1"):
        log_partial_auroc(*sample(20, 100), low=low, high=high)


@pytest.mark.parametrize("figure", [auroc_bca, log_partial_auroc])
@pytest.mark.parametrize("labels", [[0] * 1000, [1] * 1000, [1] + [0] * 999])
def test_a_class_with_nothing_to_resample_is_refused(
    figure: Callable[..., Estimate], labels: list[int]
) -> None:
    with pytest.raises(UndefinedEstimate, match="positives and"):
        figure(np.arange(1000.0), np.array(labels))


@pytest.mark.parametrize("figure", [auroc_bca, log_partial_auroc])
@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(
    figure: Callable[..., Estimate], score: float
) -> None:
    scores, labels = sample(20, 1000)
    scores[3] = score

    with pytest.raises(UndefinedEstimate, match="NaN"):
        figure(scores, labels)
