"""Curves say at every threshold what counting says."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.curves import POINTS_MAX, curves


def test_every_point_is_what_counting_at_a_threshold_gives() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 30)
    peaks = np.round(rng.normal(size=60) + labels, 1)
    peaks[:6] = -np.inf

    drawn = curves(peaks, labels)

    counted = {
        (float((peaks[labels == 0] >= t).mean()), float((peaks[labels == 1] >= t).mean()))
        for t in [np.inf, *peaks[np.isfinite(peaks)]]
    }
    assert set(drawn.roc) <= counted
    assert drawn.det == [(fpr, 1 - recall) for fpr, recall in drawn.roc]
    for (fpr, recall), (again, precision) in zip(drawn.roc, drawn.pr, strict=True):
        assert again == recall
        assert precision == pytest.approx(recall / (recall + fpr) if recall + fpr else 1.0)


def test_what_cannot_trip_is_never_caught() -> None:
    """Drawn on to the corner, the curve would promise answers that no threshold reaches."""
    labels = np.array([1, 1, 0, 0])

    drawn = curves(np.array([2.0, -np.inf, 1.0, -np.inf]), labels)

    assert drawn.roc == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5)]


def test_many_points_are_thinned_out_and_keep_their_ends() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, size=5000)

    drawn = curves(rng.normal(size=5000), labels)

    assert len(drawn.roc) == POINTS_MAX
    assert (drawn.roc[0], drawn.roc[-1]) == ((0.0, 0.0), (1.0, 1.0))


def test_a_set_in_which_nothing_can_trip_has_one_point() -> None:
    drawn = curves(np.full(4, -np.inf), np.array([0, 0, 1, 1]))

    assert drawn.roc == [(0.0, 0.0)]
