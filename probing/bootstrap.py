"""Areas with bootstrap intervals: AUROC, and the area over small false-positive rates.

The interval is BCa, bias-corrected and accelerated (Efron, "Better bootstrap confidence
intervals", JASA 82, 1987), with positives and negatives resampled apart. Both areas are a
mean over the positives of what each earns by the negatives that score as high as it does.
A resample is therefore written as how often each distinct score was drawn, and many
resamples are worked out at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import special, stats

from probing.errors import InvalidSpecification, TooFewNegatives
from probing.estimates import (
    CONFIDENCE,
    Estimate,
    Labels,
    Sample,
    UndefinedEstimate,
    by_class,
)

RESAMPLES = 2000
_NUMBERS_MAX = 4_000_000
"""Held at once while resampling."""

Counts = Int[NDArray[np.int64], "*resamples levels"]
"""How often each distinct score occurs, the highest score first."""
Credits = Float[NDArray[np.float64], "*resamples levels"]
Credit = Callable[[Counts, Counts, int], Credits]
"""What a positive of each level earns.

From the negatives at or above the level, those of them that are at the level itself, and
the number of all negatives.
"""


def auroc_bca(
    scores: Sample, labels: Labels, *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Chance that a random positive scores above a random negative, with a BCa interval.

    Args:
        scores: one number per sample, shape [n]; -inf, of an answer that cannot trip, ranks
            lowest.
        labels: 1 for misbehaviour, 0 for benign, shape [n].
        seed: of the resampling.
        resamples: how many.

    Raises:
        UndefinedEstimate: a class has fewer than two samples, a score is NaN or +inf, or all
            resamples agree, as at an area of 1: use `probing.estimates.auroc` there.
    """
    figure = "AUROC with a bootstrap interval"
    sample = _Levels.of(figure, scores, labels)
    value = float(_areas(_pairwise, sample.positives, sample.negatives))
    low, high = _bca(sample, _pairwise, value, figure, seed=seed, resamples=resamples)
    return Estimate(value=value, low=low, high=high, n=sample.n)


def log_partial_auroc(
    scores: Sample,
    labels: Labels,
    *,
    low: float = 1e-3,
    high: float = 1e-1,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean recall over the false-positive rates from `low` to `high`, each decade alike.

    The recall at a rate f is the step function R(f): the largest share of positives at or
    above a threshold that at most a share f of the negatives is at or above. Nothing is
    interpolated, equal scores trip together, and -inf never trips. The figure is the
    integral of R over log10(f) from log10(low) to log10(high), divided by
    log10(high / low): 1 where every positive is above all but a share `low` of the
    negatives, about 0.02 for scores that know nothing, with the default range.

    The same as a mean over positives: with f_i the share of negatives at or above positive
    i, brought into [low, high], it earns log(high / f_i) / log(high / low).

    The interval is BCa. At 1 and 0, where resamples agree or nearly do, it is exact by an
    argument about order statistics. At 1, the k-th highest negative is below every positive,
    with k = floor(low * negatives) + 1. Its true rate is at most f, Clopper and Pearson's limit
    for k - 1 of all negatives, but for a chance of 1.25%; and the recall at the rate f is at
    least r = 0.0125 ** (1 / positives), but for another 1.25%. So the low end is
    r log(high / f) / log(high / low). At 0 the same holds the other way round.

    Args:
        scores: one number per sample, shape [n]; -inf for an answer that cannot trip.
        labels: 1 for misbehaviour, 0 for benign, shape [n].
        low: least false-positive rate, above 0.
        high: largest false-positive rate, at most 1.
        seed: of the resampling.
        resamples: how many.

    Raises:
        InvalidSpecification: `low` and `high` are not a range of rates.
        TooFewNegatives: fewer than 1 / low, so the recall at `low` is not identified.
        UndefinedEstimate: a class has fewer than two samples, or a score is NaN or +inf.
    """
    if not 0 < low < high <= 1:
        raise InvalidSpecification(
            "range of false-positive rates", f"{low:g} to {high:g}", "0 < low < high <= 1"
        )
    figure = "area over small false-positive rates"
    sample = _Levels.of(figure, scores, labels)
    positives, negatives = int(sample.positives.sum()), int(sample.negatives.sum())
    needed = math.ceil(1 / low)
    if negatives < needed:
        raise TooFewNegatives(negatives, needed, low)
    credit = _by_log_rate(low, high)
    value = float(_areas(credit, sample.positives, sample.negatives))
    if value in (0, 1):
        interval = _at_the_end(value, positives, negatives, low, high)
    else:
        interval = _bca(sample, credit, value, figure, seed=seed, resamples=resamples)
    return Estimate(value=value, low=interval[0], high=interval[1], n=sample.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Levels:
    """A sample as counts of its distinct scores, the highest first."""

    positives: Counts
    negatives: Counts

    @classmethod
    def of(cls, figure: str, scores: Sample, labels: Labels) -> _Levels:
        """Count. Raises `UndefinedEstimate` where there is nothing to resample."""
        positives, negatives = by_class(figure, scores, labels)
        if min(len(positives), len(negatives)) < 2:
            found = f"{len(positives)} positives and {len(negatives)} negatives"
            raise UndefinedEstimate(figure, f"{found}, and resampling needs two of each")
        distinct = np.unique(np.concatenate([positives, negatives]))
        counts = [
            np.bincount(np.searchsorted(distinct, own), minlength=len(distinct))[::-1]
            for own in (positives, negatives)
        ]
        return cls(positives=counts[0], negatives=counts[1])

    @property
    def n(self) -> int:
        """Samples of both classes."""
        return int(self.positives.sum() + self.negatives.sum())


def _pairwise(above: Counts, tied: Counts, negatives: int) -> Credits:
    """Share of the negatives below, those at the same level counted half."""
    return 1 - (above - tied / 2) / negatives


def _by_log_rate(low: float, high: float) -> Credit:
    """What is left of the range, in decades, above the share of negatives at or above."""

    def credit(above: Counts, tied: Counts, negatives: int) -> Credits:
        shares = above / negatives
        earned: Credits = np.log(high / np.clip(shares, low, high)) / math.log(high / low)
        earned[shares <= low], earned[shares >= high] = 1.0, 0.0  # exactly, whatever log rounds
        return earned

    return credit


def _areas(
    credit: Credit, positives: Counts, negatives: Counts
) -> Float[NDArray[np.float64], "*resamples"]:
    """The mean over the positives of what each earns; all resamples have as many of each class."""
    above = np.cumsum(negatives, axis=-1)
    earned = credit(above, negatives, int(above.flat[-1]))
    sums: NDArray[np.float64] = np.einsum("...l,...l->...", positives, earned)
    means: NDArray[np.float64] = sums / positives.sum(axis=-1)
    return means


def _bca(
    sample: _Levels, credit: Credit, value: float, figure: str, *, seed: int, resamples: int
) -> tuple[float, float]:
    """Both ends of the interval.

    Raises:
        UndefinedEstimate: the resamples tell nothing of the spread.
    """
    again = _resampled(sample, credit, seed=seed, resamples=resamples)
    below = float(np.mean(again < value) + np.mean(again == value) / 2)
    if np.ptp(again) == 0 or not 0 < below < 1:
        reason = f"all {resamples} resamples agree, or lie on one side of it"
        raise UndefinedEstimate(figure, reason, "use auroc, whose interval needs none")
    bias, acceleration = special.ndtri(below), _acceleration(sample, credit)
    tails = special.ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]) + bias
    ends = np.quantile(again, special.ndtr(bias + tails / (1 - acceleration * tails)))
    return float(ends[0]), float(ends[1])


def _resampled(
    sample: _Levels, credit: Credit, *, seed: int, resamples: int
) -> Float[NDArray[np.float64], " resamples"]:
    """The area of every resample."""
    rng = np.random.default_rng(seed)
    rows = max(1, _NUMBERS_MAX // len(sample.positives))
    areas = []
    for done in range(0, resamples, rows):
        count = min(rows, resamples - done)
        areas.append(
            _areas(
                credit,
                _redrawn(sample.positives, count, rng),
                _redrawn(sample.negatives, count, rng),
            )
        )
    return np.concatenate(areas)


def _redrawn(counts: Counts, resamples: int, rng: np.random.Generator) -> Counts:
    """As many draws with replacement, counted by level, shape [resamples, levels]."""
    levels, n = len(counts), int(counts.sum())
    drawn = np.repeat(np.arange(levels), counts)[rng.integers(0, n, size=(resamples, n))]
    drawn += np.arange(resamples)[:, None] * levels
    return np.bincount(drawn.ravel(), minlength=resamples * levels).reshape(resamples, levels)


def _acceleration(sample: _Levels, credit: Credit) -> float:
    """From the areas with one sample left out, class by class (Efron and Tibshirani 1993)."""
    cubes = squares = 0.0
    for counts, without in (
        (sample.positives, _without_a_positive(sample, credit)),
        (sample.negatives, _without_a_negative(sample, credit)),
    ):
        n = int(counts.sum())
        influence = (n - 1) / n * (np.average(without, weights=counts) - without)
        cubes += float(counts @ influence**3)
        squares += float(counts @ influence**2)
    return cubes / (6 * squares**1.5) if squares else 0.0


def _without_a_positive(sample: _Levels, credit: Credit) -> Float[NDArray[np.float64], " levels"]:
    """The area after one positive of each level is left out."""
    above = np.cumsum(sample.negatives)
    earned = credit(above, sample.negatives, int(above[-1]))
    left: NDArray[np.float64] = (sample.positives @ earned - earned) / (sample.positives.sum() - 1)
    return left


def _without_a_negative(sample: _Levels, credit: Credit) -> Float[NDArray[np.float64], " levels"]:
    """The area after one negative of each level is left out.

    That leaves the positives above it as they are and spares those at or below it one
    negative, so running sums serve all levels.
    """
    tied, above = sample.negatives, np.cumsum(sample.negatives)
    left = int(above[-1]) - 1
    spared = np.maximum(above - 1, 0)
    over = sample.positives * credit(above, tied, left)
    level = sample.positives * credit(spared, np.maximum(tied - 1, 0), left)
    under = sample.positives * credit(spared, tied, left)
    earned = np.cumsum(over) - over + level + under.sum() - np.cumsum(under)
    without: NDArray[np.float64] = earned / sample.positives.sum()
    return without


def _at_the_end(
    value: float, positives: int, negatives: int, low: float, high: float
) -> tuple[float, float]:
    """The exact interval of an area of 1 or 0; the argument is in `log_partial_auroc`."""
    miss = (1 - CONFIDENCE) / 4
    recall, decades = miss ** (1 / positives), math.log(high / low)
    passed = math.floor((low if value else high) * negatives)
    tail = 1 - miss if value else miss
    limit = float(stats.beta.ppf(tail, passed + 1, negatives - passed))
    if value:
        return recall * max(0.0, math.log(high / limit)) / decades, 1.0
    return 0.0, 1 - recall * max(0.0, math.log(limit / low)) / decades
