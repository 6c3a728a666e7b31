"""Curves of a statistic over all thresholds, as points for plots.

A sample that cannot trip has the statistic -inf: it stays below every threshold, so the
curves need not reach the corner where everything trips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

POINTS_MAX = 400
"""More than a plot can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The same counts, seen three ways; every list runs from the highest threshold down."""

    roc: list[tuple[float, float]]
    """False-positive rate and recall."""
    det: list[tuple[float, float]]
    """False-positive rate and share of misbehaving answers missed."""
    pr: list[tuple[float, float]]
    """Recall and precision, at the share of misbehaving answers of this set."""


def curves(
    peaks: Float[NDArray[np.float64], " examples"], labels: Int[NDArray[np.int64], " examples"]
) -> Curves:
    """Counts at every threshold that changes them.

    Args:
        peaks: live statistics, -inf where an answer cannot trip.
        labels: 1 for misbehaving; both labels occur.
    """
    thresholds = np.unique(peaks[np.isfinite(peaks)])[::-1]
    bad, good = np.sort(peaks[labels == 1]), np.sort(peaks[labels == 0])
    caught = len(bad) - np.searchsorted(bad, thresholds, side="left")
    alarms = len(good) - np.searchsorted(good, thresholds, side="left")
    recall = np.concatenate([[0.0], caught / len(bad)])
    fpr = np.concatenate([[0.0], alarms / len(good)])
    precision = np.concatenate([[1.0], caught / (caught + alarms)])
    kept = _corners(fpr, recall)
    return Curves(
        roc=_points(fpr[kept], recall[kept]),
        det=_points(fpr[kept], 1 - recall[kept]),
        pr=_points(recall[kept], precision[kept]),
    )


def _corners(fpr: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where the ROC turns, thinned out evenly where there are too many."""
    flat = (np.diff(fpr)[:-1] == 0) & (np.diff(fpr)[1:] == 0)
    upright = (np.diff(recall)[:-1] == 0) & (np.diff(recall)[1:] == 0)
    kept = np.flatnonzero(np.concatenate([[True], ~(flat | upright), [True]][: len(fpr)]))
    if len(kept) > POINTS_MAX:
        kept = kept[np.linspace(0, len(kept) - 1, POINTS_MAX).astype(int)]
    return kept


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
