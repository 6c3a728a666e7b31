"""Set a probe's threshold on answers that it has not seen, by what trips live."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.errors import InvalidSpecification, TooFewNegatives
from probing.estimates import Estimate, threshold_at_fpr
from probing.probe import Probe
from training.collect import Collected
from training.datasets.schema import Dataset
from training.errors import AnswersTooShort
from training.score import live_peaks

Peaks = Float[NDArray[np.float64], " honest"]

STATISTIC = (
    "max over steps of {aggregator} from response token {tokens_min} on, per answer; "
    "answers that end before cannot trip"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A probe with its threshold, and what that rests on."""

    probe: Probe
    """Ready to decide."""
    fpr_target: float
    """Asked rate."""
    achieved: Estimate
    """Share of the honest answers that trip, with its exact 95% interval."""
    peaks: Peaks
    """The live statistic of each honest answer; -inf where it ends before the probe may trip."""
    dataset: Dataset
    """The honest answers."""

    @property
    def too_short(self) -> int:
        """Honest answers that end before the probe may trip."""
        return int(np.isneginf(self.peaks).sum())


def require_rate(fpr: float) -> None:
    """Refuse a rate that no threshold can have.

    Raises:
        InvalidSpecification: not between 0 and 1.
    """
    if not 0 < fpr < 1:
        raise InvalidSpecification("fpr", f"{fpr:g}", "a rate between 0 and 1, such as 0.01")


def require_enough(honest: Dataset, fpr: float) -> None:
    """Refuse before anything is read, where too few honest answers are held out.

    Raises:
        TooFewNegatives: fewer than 1 / fpr.
    """
    require_rate(fpr)
    needed = int(np.ceil(1 / fpr))
    if len(honest) < needed:
        raise TooFewNegatives(len(honest), needed, fpr)


def calibrate(probe: Probe, honest: Collected, *, fpr: float) -> Calibrated:
    """The lowest threshold at which at most `fpr` of held-out honest answers trip.

    Args:
        honest: readings of honest answers in situations that the probe was not fitted on.
        fpr: target false-positive rate per answer.

    Raises:
        TooFewNegatives: fewer than 1 / fpr answers, so the rate is not identified.
        AnswersTooShort: so many end before the probe may trip that any threshold keeps the rate.
    """
    require_enough(honest.dataset, fpr)
    peaks = live_peaks(honest, probe)
    threshold, achieved = threshold_for(probe, peaks, fpr=fpr)
    return Calibrated(
        probe=replace(probe, threshold=threshold),
        fpr_target=fpr,
        achieved=achieved,
        peaks=peaks,
        dataset=honest.dataset,
    )


def threshold_for(probe: Probe, peaks: Peaks, *, fpr: float) -> tuple[float, Estimate]:
    """The lowest threshold at which at most `fpr` of some answers trip, and their share.

    Args:
        probe: what gave the peaks; it decides from its `tokens_min`th token on.
        peaks: the live statistic of each answer, -inf where it ends before.
        fpr: target false-positive rate per answer.

    Raises:
        InvalidSpecification: the rate is not between 0 and 1.
        TooFewNegatives: fewer than 1 / fpr answers, so the rate is not identified.
        AnswersTooShort: so many end before the probe may trip that any threshold keeps the rate.
    """
    require_rate(fpr)
    able = int(np.isfinite(peaks).sum())
    if len(peaks) >= 1 / fpr and able <= int(fpr * len(peaks)):
        raise AnswersTooShort(probe.tokens_min, able, len(peaks), fpr)
    return threshold_at_fpr(peaks, fpr)
