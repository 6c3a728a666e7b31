"""Linear discriminant with a shrunk covariance: the mean difference, seen through the spread.

Source: Fisher's discriminant with the shrinkage of Ledoit and Wolf (2004), as scikit-learn
has it; as a probe, the mass-mean with covariance of Marks and Tegmark, "The Geometry of
Truth" (2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from training.families.pooled import Plane, PooledFamily
from training.pool import Features


def find(features: Features, labels: NDArray[np.int64], inverse_strength: float) -> Plane:
    """The discriminant of two classes with one covariance; the data set its shrinkage."""
    wide = features.astype(np.float64)
    estimator = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    estimator.fit(wide, labels)
    normal, centre = estimator.coef_[0], wide.mean(axis=0)
    intercept = float(estimator.intercept_[0] + normal @ centre)
    return Plane(normal=normal, centre=centre, intercept=intercept, estimator=estimator)


FAMILY = PooledFamily(name="discriminant", find=find, tuned=False)
