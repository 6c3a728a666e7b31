"""Two thresholds for a cascade: pass, ask a second check, or act at once.

A second check, such as a larger model or a person, is dear. The lower threshold spares it
the answers that are surely honest: at least a stated share of misbehaving answers is at or
above it. The upper one spares it those that are surely not: at most a stated share of
benign answers is at or above that.

Both bounds that count are exact although the thresholds are order statistics of the same
answers (Wilks, "Determination of sample sizes for setting tolerance limits", 1941): the
low end of the recall and the high end of the false-positive rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from probing.errors import InvalidSpecification
from probing.estimates import Estimate, rate, threshold_at_fpr
from training.thresholds.errors import RecallOutOfReach, TooFewMisbehaving
from training.thresholds.rates import Peaks, tripping

RECALL = 0.99
"""Share of misbehaving answers that must not be passed without a second check."""
FPR = 0.01
"""Share of benign answers that may be acted on without one."""
_DIGITS = 9
"""Of a product with a decimal fraction, before it is rounded up: 0.55 * 100 is 55."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Where an answer is passed, checked again, or acted on."""

    lower: float
    """Below it an answer passes. Never above `upper`."""
    upper: float
    """At or above it the probe decides alone."""
    recall_asked: float
    """Least share of misbehaving answers at or above `lower`."""
    recall: Estimate
    """Their share, with its exact interval: what is not passed."""
    fpr_asked: float
    """Largest share of benign answers at or above `upper`."""
    achieved: Estimate
    """Their share, with its exact interval."""

    @property
    def is_empty(self) -> bool:
        """Whether one threshold meets both demands, so that nothing needs a second check."""
        return self.lower == self.upper

    def as_json(self) -> dict[str, Any]:
        """As it stands in an evaluation."""
        return {
            "lower": self.lower,
            "upper": self.upper,
            "recall_asked": self.recall_asked,
            "recall": self.recall.as_json(),
            "fpr_asked": self.fpr_asked,
            "achieved": self.achieved.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How one kind of traffic falls into the bands; the three add up to 1."""

    name: str
    """What kind of traffic."""
    below: Estimate
    """Passed; answers that end before the probe may trip are among them."""
    between: Estimate
    """Sent to the second check."""
    above: Estimate
    """Acted on at once."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in an evaluation."""
        named = {"below": self.below, "between": self.between, "above": self.above}
        return {"name": self.name} | {key: share.as_json() for key, share in named.items()}


def bands(misbehaving: Peaks, benign: Peaks, *, recall: float = RECALL, fpr: float = FPR) -> Bands:
    """The narrowest band that keeps both promises.

    Where one threshold keeps both, the band is empty: both thresholds are the upper one.

    Args:
        misbehaving: live statistics of misbehaving answers, -inf where one cannot trip.
        benign: live statistics of answers to leave alone.
        recall: least share of misbehaving answers at or above the lower threshold.
        fpr: largest share of benign answers at or above the upper threshold.

    Raises:
        InvalidSpecification: the recall is not between 0 and 1.
        TooFewMisbehaving: fewer than 1 / (1 - recall), so the recall is not identified.
        RecallOutOfReach: too many misbehaving answers end before the probe may trip.
        TooFewNegatives: fewer than 1 / fpr benign answers.
        UndefinedEstimate: too many benign answers end before the probe may trip.
    """
    upper, achieved = threshold_at_fpr(benign, fpr)
    lower = min(_reached_by(misbehaving, recall), upper)
    return Bands(
        lower=lower,
        upper=upper,
        recall_asked=recall,
        recall=tripping(misbehaving, lower),
        fpr_asked=fpr,
        achieved=achieved,
    )


def shares(found: Bands, name: str, peaks: Peaks) -> Shares:
    """How some answers fall into the bands.

    Raises:
        UndefinedEstimate: there are no answers.
    """
    n = len(peaks)
    reached = int((peaks >= np.float32(found.lower)).sum())
    above = int((peaks >= np.float32(found.upper)).sum())
    return Shares(
        name=name,
        below=rate(n - reached, n),
        between=rate(reached - above, n),
        above=rate(above, n),
    )


def _reached_by(misbehaving: Peaks, recall: float) -> float:
    """The highest threshold that at least a share of the answers reaches."""
    if not 0 < recall < 1:
        raise InvalidSpecification("recall", f"{recall:g}", "a share between 0 and 1, such as 0.99")
    n, needed = len(misbehaving), math.ceil(round(1 / (1 - recall), _DIGITS))
    if n < needed:
        raise TooFewMisbehaving(n, needed, recall)
    threshold = float(np.sort(misbehaving)[n - math.ceil(round(recall * n, _DIGITS))])
    if not np.isfinite(threshold):
        raise RecallOutOfReach(int(np.isfinite(misbehaving).sum()), n, recall)
    return threshold
