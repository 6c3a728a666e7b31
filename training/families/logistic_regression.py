"""Standardised logistic regression with an L2 penalty, on one vector per answer.

The textbook probe: Alain and Bengio, "Understanding intermediate layers using linear
classifier probes" (2016); for misbehaviour, with a strong penalty, Goldowsky-Dill et al.,
"Detecting Strategic Deception Using Linear Probes" (2025).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.families.pooled import Plane, PooledFamily
from training.pool import Features

NEWTON_FEATURES_MAX = 1024
"""Up to here Newton's method is exact and quick; beyond, its matrix is too large."""
ITERATIONS_MAX = (200, 5000)
"""First try and second try, before a fit is reported as not converged."""
TOLERANCE = 1e-6


def find(features: Features, labels: NDArray[np.int64], inverse_strength: float) -> Plane:
    """The plane of the regression, and its scikit-learn pipeline."""
    solver = "newton-cholesky" if features.shape[1] <= NEWTON_FEATURES_MAX else "lbfgs"
    for iterations in ITERATIONS_MAX:
        regression = LogisticRegression(
            C=inverse_strength, solver=solver, max_iter=iterations, tol=TOLERANCE
        )
        pipeline = make_pipeline(StandardScaler(), regression)
        pipeline.fit(features.astype(np.float64), labels)
        converged = bool(regression.n_iter_.max() < iterations)
        if converged:
            break
    return Plane(
        normal=regression.coef_[0] / pipeline[0].scale_,
        centre=pipeline[0].mean_,
        intercept=float(regression.intercept_[0]),
        estimator=pipeline,
        converged=converged,
    )


FAMILY = PooledFamily(name="logistic_regression", find=find, tuned=True)
