"""Logistic regression at many strengths of its L2 penalty, in one go.

Newton's method, its equations solved by conjugate gradients, for all strengths side by
side: a pass over the readings costs what it takes to fetch them from memory, so eight
strengths cost little more than one. One eigendecomposition serves them all: in the axes
of the readings' covariance every penalised Hessian is nearly diagonal, and its diagonal
is what the conjugate gradients are preconditioned with.

Sources: inexact Newton steps, Dembo, Eisenstat and Steihaug (1982); conjugate gradients
for logistic regression, Lin, Weng and Keerthi, "Trust Region Newton Method for
Large-Scale Logistic Regression" (2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.linalg import block_diag, eigh, qr
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from training.families.pooled import Plane
from training.pool import Features

DECREMENT = 1e-10
"""A strength is done when its next step would lower the mean loss by less than half of this;
that step is still taken."""
STEPS_MAX = 100
"""Newton steps before a strength is reported as not converged."""
FORCING = 0.01
"""Each step's equations are solved to this share of where they begin."""
GRADIENTS_MAX = 500
"""Conjugate gradients for one step."""
DECREASE = 1e-4
"""Share of what the slope promises that a step must bring; Armijo (1966)."""
HALVINGS_MAX = 40
ROUNDING = 1e-14
"""Differences of the loss that say nothing."""

Columns = Float[NDArray[np.float64], "parameters strengths"]
Rows = Float[NDArray[np.float64], "examples strengths"]
Strengths = Float[NDArray[np.float64], " strengths"]


def find_path(
    features: Features, labels: NDArray[np.int64], strengths: Sequence[float]
) -> list[Plane]:
    """The planes that scikit-learn's pipeline of scaler and regression has its optimum at.

    Args:
        features: one row per example, standardised here.
        labels: 0 or 1, both among them.
        strengths: scikit-learn's C: smaller is a stronger penalty.

    Returns:
        One plane per strength, in their order.
    """
    scaler = StandardScaler()
    readings = scaler.fit_transform(features.astype(np.float64))
    basis = _row_space(readings)
    problem = _Problem.of(readings if basis is None else readings @ basis, labels, strengths)
    weights, steps, converged = problem.solved()
    normals = weights[:-1] if basis is None else basis @ weights[:-1]
    return [
        _plane(scaler, strength, normals[:, i], weights[-1, i], steps[i], converged[i])
        for i, strength in enumerate(strengths)
    ]


def _row_space(readings: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Orthonormal directions in which all readings lie, where they are fewer than features.

    A penalised plane's normal lies there too, so that the problem has no more unknowns than
    examples, whatever the width: tails side by side, all sites in one probe.
    """
    examples, width = readings.shape
    if width <= examples:
        return None
    basis: NDArray[np.float64] = qr(readings.T, mode="economic")[0]
    return basis


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """The mean loss of all strengths; the intercept is the last parameter, unpenalised."""

    readings: NDArray[np.float64]
    """With a column of ones, shape [examples, parameters]."""
    truth: NDArray[np.float64]
    """Labels as a column."""
    penalties: Columns
    """Of each parameter, on the scale of the mean loss."""
    brief: NDArray[np.float32]
    """The same in single precision: enough for the way to the optimum, not for what it is."""
    axes: NDArray[np.float32]
    """Of the covariance, as columns."""
    spread: NDArray[np.float64]
    """Variance along each axis, as a column."""

    @classmethod
    def of(
        cls, readings: NDArray[np.float64], labels: NDArray[np.int64], strengths: Sequence[float]
    ) -> _Problem:
        n, width = readings.shape
        whole = np.column_stack([readings, np.ones(n)])
        brief = whole.astype(np.float32)
        spread, axes = eigh(brief[:, :-1].T @ brief[:, :-1] / n, driver="evd")
        penalties = np.zeros((width + 1, len(strengths)))
        penalties[:-1] = 1 / (n * np.asarray(strengths))
        return cls(
            readings=whole,
            truth=labels.astype(np.float64)[:, None],
            penalties=penalties,
            brief=brief,
            axes=block_diag(axes, np.float32(1)),
            spread=np.append(spread.clip(0), 1.0)[:, None],
        )

    def solved(self) -> tuple[Columns, NDArray[np.int64], NDArray[np.bool_]]:
        """The optimum of each strength, the steps it took, and whether it was reached."""
        count = self.penalties.shape[1]
        weights, logits = np.zeros_like(self.penalties), np.zeros((len(self.readings), count))
        steps, left = np.zeros(count, dtype=np.int64), np.arange(count)
        while len(left) and steps.max() < STEPS_MAX:
            own = replace(self, penalties=self.penalties[:, left])
            at = own._step(weights[:, left], logits[:, left])
            weights[:, left], logits[:, left] = at.weights, at.logits
            steps[left] += 1
            left = left[~(at.decrement <= DECREMENT)]
        return weights, steps, ~np.isin(np.arange(count), left)

    def _step(self, weights: Columns, logits: Rows) -> _Step:
        """One step of Newton's method for every strength."""
        chance = expit(logits)
        gradient = self.readings.T @ (chance - self.truth) / len(chance) + self.penalties * weights
        step = self._newton_step(chance * (1 - chance), gradient)
        decrement, change = (step * gradient).sum(axis=0), self.readings @ step
        length = self._length(weights, logits, step, change, decrement)
        return _Step(
            weights=weights - length * step,
            logits=logits - length * change,
            decrement=decrement,
        )

    def _newton_step(self, curvature: Rows, gradient: Columns) -> Columns:
        """Solve Hessian times step = gradient by conjugate gradients, column by column."""
        diagonal = curvature.mean(axis=0) * self.spread + self.penalties
        shares = (curvature / len(curvature)).astype(np.float32)
        step, residual = np.zeros_like(gradient), gradient.copy()
        direction = self._eased(residual, diagonal)
        size = (residual * direction).sum(axis=0)
        enough = FORCING**2 * size
        for _ in range(GRADIENTS_MAX):
            left = np.flatnonzero(size > enough)
            if not len(left):
                break
            own, before = direction[:, left], size[left]
            image = self._image(shares[:, left], own) + self.penalties[:, left] * own
            length = before / (own * image).sum(axis=0)
            step[:, left] += length * own
            residual[:, left] -= length * image
            eased = self._eased(residual[:, left], diagonal[:, left])
            size[left] = (residual[:, left] * eased).sum(axis=0)
            direction[:, left] = eased + size[left] / before * own
        return step

    def _image(self, shares: NDArray[np.float32], direction: Columns) -> Columns:
        """The loss's Hessian times a direction; each example has a share of the curvature."""
        rows = shares * (self.brief @ direction.astype(np.float32))
        return (self.brief.T @ rows).astype(np.float64)

    def _eased(self, residual: Columns, diagonal: Columns) -> Columns:
        """The preconditioner: the Hessian's inverse, were its curvature the same everywhere."""
        along = (self.axes.T @ residual.astype(np.float32)) / diagonal
        return (self.axes @ along.astype(np.float32)).astype(np.float64)

    def _length(
        self, weights: Columns, logits: Rows, step: Columns, change: Rows, decrement: Strengths
    ) -> Strengths:
        """Share of each step that lowers the loss: 1, or halved until it does."""
        length = np.ones(len(decrement))
        before = self._loss(weights, logits)
        for _ in range(HALVINGS_MAX):
            after = self._loss(weights - length * step, logits - length * change)
            short = after > before - DECREASE * length * decrement + ROUNDING
            if not short.any():
                break
            length[short] /= 2
        return length

    def _loss(self, weights: Columns, logits: Rows) -> Strengths:
        """Mean log-loss and penalty of each strength."""
        losses = np.logaddexp(0, logits) - self.truth * logits
        whole: Strengths = losses.mean(axis=0) + (self.penalties * weights**2).sum(axis=0) / 2
        return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """Where a step of Newton's method led."""

    weights: Columns
    logits: Rows
    decrement: NDArray[np.float64]
    """Slope along the step, which is twice what it was to lower the loss by."""


def _plane(
    scaler: StandardScaler,
    strength: float,
    normal: NDArray[np.float64],
    intercept: float,
    steps: int,
    converged: bool,
) -> Plane:
    """A solution, with the pipeline that scikit-learn would have fitted."""
    regression = LogisticRegression(C=strength)
    regression.coef_, regression.intercept_ = normal[None], np.array([intercept])
    regression.classes_, regression.n_iter_ = np.array([0, 1]), np.array([steps])
    regression.n_features_in_ = len(normal)
    return Plane(
        normal=normal / scaler.scale_,
        centre=scaler.mean_,
        intercept=float(intercept),
        estimator=Pipeline([("standardscaler", scaler), ("logisticregression", regression)]),
        converged=bool(converged),
    )
