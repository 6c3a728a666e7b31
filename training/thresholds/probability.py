"""What the live statistic is worth as a probability of misbehaviour.

Maps from the statistic to a probability are fitted on some answers and judged on others:
by the Brier score, by the expected calibration error, and bin by bin. A probability holds
at the share of misbehaving answers among those that it was fitted on; where they are
rarer, so is it too high.

An answer that ends before the probe may trip has no statistic. None of the maps says
anything of it: such answers are left out, counted, and their own share of misbehaving ones
is stated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import special, stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from probing.estimates import CONFIDENCE, Estimate, bounded_mean, rate
from training.errors import EmptyClass
from training.thresholds.rates import Peaks

BINS = 10
"""Of equal width, from 0 to 1."""

Statistics = Float[NDArray[np.float64], " answers"]
Chances = Float[NDArray[np.float64], " answers"]
Labels = Int[NDArray[np.int64], " answers"]
Map = Callable[[Statistics], Chances]
"""From finite statistics to probabilities of misbehaviour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Live statistics with what the answers are."""

    name: str
    """What its user calls it."""
    peaks: Peaks
    """-inf where an answer ends before the probe may trip."""
    labels: Labels
    """1 for misbehaving."""

    @property
    def able(self) -> Labelled:
        """The answers that have a statistic."""
        chosen = np.isfinite(self.peaks)
        return Labelled(name=self.name, peaks=self.peaks[chosen], labels=self.labels[chosen])

    @property
    def misbehaving(self) -> Estimate:
        """The share of misbehaving answers."""
        return rate(int(self.labels.sum()), len(self.labels))

    @property
    def misbehaving_too_short(self) -> Estimate | None:
        """The share of misbehaving ones among the answers that cannot trip; None without any."""
        short = self.labels[np.isneginf(self.peaks)]
        return rate(int(short.sum()), len(short)) if len(short) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The answers whose probabilities lie between two edges."""

    low: float
    """Lower edge, included."""
    high: float
    """Upper edge, excluded but for 1."""
    predicted: float
    """Mean probability of its answers."""
    observed: Estimate
    """Share of misbehaving ones among them, with its exact interval and their number."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in an evaluation."""
        return {
            "low": self.low,
            "high": self.high,
            "predicted": self.predicted,
            "observed": self.observed.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How the probabilities of one map compare with what the answers were."""

    map: str
    """"logistic", "platt" or "isotonic"."""
    brier: Estimate
    """Mean squared error of the probabilities; its interval errs on the wide side."""
    error: Estimate
    """Expected calibration error; see `calibration_error`."""
    bins: tuple[Bin, ...]
    """The reliability curve; empty bins are left out."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in an evaluation."""
        return {
            "map": self.map,
            "brier": self.brier.as_json(),
            "expected_calibration_error": self.error.as_json(),
            "bins": [one.as_json() for one in self.bins],
        }


def judge(fitting: Labelled, held: Labelled) -> list[Judged]:
    """Fit every map on some answers and judge it on others that have a statistic.

    Raises:
        EmptyClass: of one part, no honest or no misbehaving answer has a statistic.
    """
    for part in (fitting.able, held.able):
        misbehaving = int(part.labels.sum())
        if misbehaving in (0, len(part.labels)):
            raise EmptyClass(part.name, len(part.labels) - misbehaving, misbehaving)
    return [_judged(name, fit(fitting.able), held.able) for name, fit in MAPS.items()]


def logistic(_: Labelled) -> Map:
    """The logistic function of the statistic, as moderation results show it; fitted on nothing."""
    return _logistic


def platt(fitting: Labelled) -> Map:
    """A logistic function with a slope and a shift of its own (Platt 1999).

    The labels are taken a little towards each other, (n + 1) / (n + 2) and 1 / (n + 2), as
    Platt does, so that the slope stays finite where the classes do not overlap.
    """
    bad = int(fitting.labels.sum())
    good = len(fitting.labels) - bad
    chances = np.where(fitting.labels == 1, (bad + 1) / (bad + 2), 1 / (good + 2))
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=1000)
    regression.fit(
        np.tile(fitting.peaks, 2)[:, None],
        np.repeat([1, 0], len(chances)),
        sample_weight=np.concatenate([chances, 1 - chances]),
    )
    slope, shift = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    return lambda statistics: _logistic(slope * statistics + shift)


def isotonic(fitting: Labelled) -> Map:
    """The rising step function that fits best (Zadrozny and Elkan 2002)."""
    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    regression.fit(fitting.peaks, fitting.labels)

    def chances(statistics: Statistics) -> Chances:
        found: Chances = regression.predict(statistics)
        return found

    return chances


MAPS: Mapping[str, Callable[[Labelled], Map]] = {
    "logistic": logistic,
    "platt": platt,
    "isotonic": isotonic,
}
"""By the name that reports give them."""


def reliability(chances: Chances, labels: Labels) -> tuple[Bin, ...]:
    """The reliability curve over bins of equal width; empty bins are left out."""
    edges = np.linspace(0, 1, BINS + 1)
    at = np.minimum(np.digitize(chances, edges) - 1, BINS - 1)
    return tuple(
        Bin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            predicted=float(chances[at == number].mean()),
            observed=rate(int(labels[at == number].sum()), int((at == number).sum())),
        )
        for number in np.unique(at)
    )


def calibration_error(bins: Sequence[Bin]) -> Estimate:
    """Mean distance of what was predicted from what was observed (Naeini et al. 2015).

    Bins count by their answers. The interval holds for the probabilities as they were
    given: the observed share of each of k bins is brought into its Clopper-Pearson interval
    at 1 - 0.05 / k, which hold together, and the ends are the least and the largest error
    that all those intervals allow.
    """
    n = sum(one.observed.n for one in bins)
    confidence = 1 - (1 - CONFIDENCE) / len(bins)
    value = low = high = 0.0
    for one in bins:
        count, weight = round(one.observed.value * one.observed.n), one.observed.n / n
        limits = stats.binomtest(count, one.observed.n).proportion_ci(confidence, method="exact")
        nearest = min(max(one.predicted, limits.low), limits.high)
        value += weight * abs(one.predicted - one.observed.value)
        low += weight * abs(one.predicted - nearest)
        high += weight * max(abs(one.predicted - limits.low), abs(one.predicted - limits.high))
    return Estimate(value=value, low=low, high=high, n=n)


def _judged(name: str, to_chance: Map, held: Labelled) -> Judged:
    chances = to_chance(held.peaks)
    bins = reliability(chances, held.labels)
    return Judged(
        map=name,
        brier=bounded_mean((chances - held.labels) ** 2),
        error=calibration_error(bins),
        bins=bins,
    )


def _logistic(logits: Statistics) -> Chances:
    chances: Chances = special.expit(logits)
    return chances
