"""Thresholds at stated rates, each on one kind of benign answer, and how they transfer.

A threshold holds for answers like those that it was set on. So there is one for each benign
set and rate, and each is judged on every other set: that is what happens to the
false-alarm rate when the mix of a deployment changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.errors import TooFewNegatives
from probing.estimates import Estimate, UndefinedEstimate, rate, threshold_at_fpr

RATES = (0.01, 0.001)
"""False-positive rates that thresholds are set at."""
FAR = 2
"""Times the asked rate, from which on an interval says too little."""

Peaks = Float[NDArray[np.float64], " answers"]
"""The live statistic of each answer; -inf where it ends before the probe may trip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenignSet:
    """Answers of one kind that a probe has to leave alone."""

    name: str
    """What kind."""
    peaks: Peaks
    """What each of them reached live."""
    ids: tuple[str, ...]
    """Which answers these are; an answer can be of two kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetThreshold:
    """The threshold that one benign set gives at one rate, or why it gives none."""

    set_on: str
    """The benign set."""
    fpr: float
    """Asked rate."""
    n: int
    """Answers of the set."""
    too_short: int
    """Those of them that end before the probe may trip."""
    threshold: float | None
    """The lowest at which at most the asked share trips; None where it is refused."""
    achieved: Estimate | None
    """The share that trips, with its exact interval; None where it is refused."""
    caution: str | None
    """In words, where the interval does not exclude more than twice the asked rate."""
    refusal: str | None
    """In words, where the set cannot support the rate."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in an evaluation."""
        return {
            "set_on": self.set_on,
            "fpr": self.fpr,
            "n": self.n,
            "too_short": self.too_short,
            "threshold": self.threshold,
            "achieved": self.achieved and self.achieved.as_json(),
            "caution": self.caution,
            "refusal": self.refusal,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What a threshold that was set on one benign set does on another."""

    set_on: str
    """The set that gave the threshold."""
    judged_on: str
    """The set whose false alarms are counted."""
    fpr: float
    """Rate that the threshold was set at."""
    rate: Estimate
    """Share of the judged set that trips, with its exact interval."""
    shared: int
    """Answers that are in both sets: the judged ones that the threshold has seen."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in an evaluation."""
        return {
            "set_on": self.set_on,
            "judged_on": self.judged_on,
            "fpr": self.fpr,
            "rate": self.rate.as_json(),
            "shared": self.shared,
        }


def thresholds(sets: Sequence[BenignSet], rates: Sequence[float] = RATES) -> list[SetThreshold]:
    """One row for each set and rate, set by set."""
    return [_threshold(one, fpr) for one in sets for fpr in rates]


def transfers(sets: Sequence[BenignSet], found: Sequence[SetThreshold]) -> list[Transfer]:
    """Every threshold that was found, judged on every set, its own among them."""
    ids = {one.name: frozenset(one.ids) for one in sets}
    return [
        Transfer(
            set_on=row.set_on,
            judged_on=other.name,
            fpr=row.fpr,
            rate=tripping(other.peaks, row.threshold),
            shared=len(ids[row.set_on] & ids[other.name]),
        )
        for row in found
        for other in sets
        if row.threshold is not None
    ]


def tripping(peaks: Peaks, threshold: float) -> Estimate:
    """The share of answers that trip at a threshold, as they do live.

    Raises:
        UndefinedEstimate: there are no answers.
    """
    return rate(int((peaks >= np.float32(threshold)).sum()), len(peaks))


def caution(achieved: Estimate, fpr: float) -> str | None:
    """What to say where the interval still includes more than twice the asked rate."""
    if achieved.high <= FAR * fpr:
        return None
    return (
        f"{achieved.n:,} answers do not show that {fpr:.2%} is kept: the 95% interval reaches "
        f"{achieved.high:.2%}, more than twice the asked rate"
    )


def _threshold(one: BenignSet, fpr: float) -> SetThreshold:
    threshold, achieved, refusal = None, None, None
    try:
        threshold, achieved = threshold_at_fpr(one.peaks, fpr)
    except (TooFewNegatives, UndefinedEstimate) as error:
        refusal = str(error)
    return SetThreshold(
        set_on=one.name,
        fpr=fpr,
        n=len(one.peaks),
        too_short=int(np.isneginf(one.peaks).sum()),
        threshold=threshold,
        achieved=achieved,
        caution=None if achieved is None else caution(achieved, fpr),
        refusal=refusal,
    )
