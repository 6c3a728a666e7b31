"""Standardised logistic regression with an L2 penalty, on one vector per answer.

The textbook probe: Alain and Bengio, "Understanding intermediate layers using linear
classifier probes" (2016); for misbehaviour, with a strong penalty, Goldowsky-Dill et al.,
"Detecting Strategic Deception Using Linear Probes" (2025).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.families.logistic_path import find_path
from training.families.pooled import Plane, PooledFamily
from training.pool import Features


def find(features: Features, labels: NDArray[np.int64], inverse_strength: float) -> Plane:
    """The plane of the regression, and its scikit-learn pipeline."""
    (plane,) = find_path(features, labels, [inverse_strength])
    return plane


FAMILY = PooledFamily(name="logistic_regression", find=find, find_path=find_path, tuned=True)
