"""Rates and areas with their uncertainty; nothing is reported without it.

An `Estimate` carries its 95% interval and the n behind it, and is written
everywhere as `{"value", "low", "high", "n"}`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import optimize, stats

from probing.errors import ProbingError, TooFewNegatives

CONFIDENCE = 0.95

Sample = Float[NDArray[np.floating], " n"]
Labels = Int[NDArray[np.integer], " n"]


class UndefinedEstimate(ProbingError):
    """A figure was asked of samples that do not define it."""

    code = "undefined_estimate"

    def __init__(
        self, figure: str, reason: str, remedy: str = "add samples of what is missing"
    ) -> None:
        super().__init__(f"{figure} is not defined here: {reason}; {remedy}")
        self.figure, self.reason = figure, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured figure, its 95% interval and how many samples it rests on."""

    value: float
    """The point estimate."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end of the 95% interval."""
    n: int
    """Samples behind it: trials of a rate, positives and negatives of an area together."""

    def as_json(self) -> dict[str, float | int]:
        """The four fields, as they stand in every report."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}"


def rate(successes: int, n: int) -> Estimate:
    """A share with its exact two-sided interval (Clopper and Pearson 1934).

    Raises:
        UndefinedEstimate: n is 0.
    """
    if n == 0:
        raise UndefinedEstimate("a rate", "there are no trials")
    interval = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="exact")
    return Estimate(value=successes / n, low=interval.low, high=interval.high, n=n)


def bounded_mean(values: Sample) -> Estimate:
    """The mean of numbers in [0, 1], such as squared errors of probabilities.

    The interval is the score interval of a rate (Wilson, JASA 22, 1927). Of all numbers in
    [0, 1] with a given mean, noughts and ones vary most, so it errs on the wide side; and it
    keeps a width where all numbers agree, where a bootstrap has none.

    Raises:
        UndefinedEstimate: there are no values, or one lies outside [0, 1].
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise UndefinedEstimate("a mean of bounded numbers", "none, or some lie outside [0, 1]")
    mean, n = float(values.mean()), len(values)
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Estimate(value=mean, low=min(low, mean), high=max(high, mean), n=n)


def auroc(scores: Sample, labels: Labels) -> Estimate:
    """Chance that a random positive scores above a random negative, ties counting half.

    The interval is Newcombe's method 5 (Statistics in Medicine 25, 2006), which
    keeps its coverage up to an area of 1, where bootstrap and DeLong give width 0.

    Args:
        scores: one number per sample, shape [n]; -inf, of an answer that cannot trip, ranks
            lowest.
        labels: 1 for misbehaviour, 0 for benign, shape [n].

    Raises:
        UndefinedEstimate: one of the two classes is empty, or a score is NaN or +inf.
    """
    above, below = by_class("AUROC", scores, labels)
    positives, negatives = len(above), len(below)
    ranks = stats.rankdata(np.concatenate([above, below]))[:positives]
    area = float((ranks.sum() - positives * (positives + 1) / 2) / (positives * negatives))
    low, high = _newcombe(area, positives, negatives)
    return Estimate(value=area, low=low, high=high, n=positives + negatives)


def by_class(
    figure: str, scores: Sample, labels: Labels
) -> tuple[Float[NDArray[np.float64], " positives"], Float[NDArray[np.float64], " negatives"]]:
    """The scores of the positives and of the negatives, for a figure that compares them.

    Args:
        figure: what is asked for, as it stands in the refusal.

    Raises:
        UndefinedEstimate: one of the two classes is empty, or a score is NaN or +inf.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if not len(positives) or not len(negatives):
        found = f"{len(positives)} positives and {len(negatives)} negatives"
        raise UndefinedEstimate(figure, found)
    if not (scores < np.inf).all():
        raise UndefinedEstimate(figure, "some scores are NaN or +inf")
    return positives, negatives


def recall_at_fpr(scores: Sample, labels: Labels, fpr: float) -> Estimate:
    """Share of positives above the threshold that lets through `fpr` of the negatives.

    Args:
        scores: one aggregated logit per sample, shape [n].
        labels: 1 for misbehaviour, 0 for benign, shape [n].
        fpr: target false-positive rate in (0, 1).

    Returns:
        The recall with its 95% Clopper-Pearson interval and the n behind it.

    Raises:
        TooFewNegatives: fewer than 1 / fpr negatives, so the threshold is not identified.
        UndefinedEstimate: there are no positives.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    threshold, _ = threshold_at_fpr(scores[labels == 0], fpr)
    positives = scores[labels == 1]
    return rate(int((positives >= threshold).sum()), len(positives))


def threshold_at_fpr(benign: Sample, fpr: float) -> tuple[float, Estimate]:
    """The lowest threshold at which at most `fpr` of the benign samples trip.

    A sample trips when its statistic is at or above the threshold, as it does live.

    Args:
        benign: one live statistic per benign sample, shape [n]; -inf where it cannot trip.
        fpr: target false-positive rate in (0, 1).

    Returns:
        The threshold, and the achieved rate with its exact interval.

    Raises:
        TooFewNegatives: fewer than 1 / fpr samples, so no sample stands for the rate.
        UndefinedEstimate: so many cannot trip that every threshold keeps the rate, or one
            is NaN or +inf.
    """
    benign = np.sort(np.asarray(benign, dtype=np.float64))
    needed = math.ceil(1 / fpr)
    if len(benign) < needed:
        raise TooFewNegatives(len(benign), needed, fpr)
    allowed = math.floor(fpr * len(benign))
    highest_silent = benign[len(benign) - allowed - 1]
    if not np.isfinite(highest_silent) or not benign[-1] < np.inf:
        able = int(np.isfinite(benign).sum())
        raise UndefinedEstimate("a threshold", f"only {able} of {len(benign)} samples can trip")
    threshold = float(np.nextafter(np.float32(highest_silent), np.float32(np.inf)))
    return threshold, rate(int((benign >= threshold).sum()), len(benign))


def median(values: Sample) -> Estimate:
    """The median with its distribution-free interval from order statistics.

    Raises:
        UndefinedEstimate: there are no values.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if n == 0:
        raise UndefinedEstimate("a median", "there are no values")
    below = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))
    rank = max(0, below - 1) if stats.binom.cdf(below, n, 0.5) > (1 - CONFIDENCE) / 2 else below
    return Estimate(
        value=float(np.median(ordered)),
        low=float(ordered[rank]),
        high=float(ordered[n - 1 - rank]),
        n=n,
    )


def _newcombe(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """Both ends at which the observed area lies one normal quantile away."""
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    mean_n = (positives + negatives) / 2

    def variance(theta: float) -> float:
        spread = 2 * mean_n - 1 - (3 * mean_n - 3) / ((2 - theta) * (1 + theta))
        return theta * (1 - theta) * spread / (positives * negatives)

    def excess(theta: float) -> float:
        return abs(area - theta) - z * math.sqrt(max(0.0, variance(theta)))

    nudge = 1e-9  # at an area of exactly 0 or 1 the observed area is itself a root, not the end
    low = 0.0 if area <= nudge else float(optimize.brentq(excess, 0.0, area - nudge))
    high = 1.0 if area >= 1 - nudge else float(optimize.brentq(excess, area + nudge, 1.0))
    return low, high
