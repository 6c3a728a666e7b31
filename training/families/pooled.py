"""Families that fit one plane through one vector per answer.

They differ in how the plane is found; how it becomes weights per site and per position
of a tail, and how its exported forms are checked, is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.pool import Features, Pooling, pooling_for

Vector = Float[NDArray[np.float64], " features"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """`normal . (x - centre) + intercept`, and the estimator that says the same."""

    normal: Vector
    """Weight of each feature."""
    centre: Vector
    """Where an absent feature stands: it adds nothing there."""
    intercept: float
    """Logit at the centre."""
    estimator: Any
    """Has `decision_function(features)`."""
    converged: bool = True
    """Whether its solver came to an end."""


Find = Callable[[Features, NDArray[np.int64], float], Plane]
"""From features [examples, features], labels [examples] and C."""
FindPath = Callable[[Features, NDArray[np.int64], Sequence[float]], list[Plane]]
"""The same for several values of C, a plane for each."""


@dataclass(frozen=True, slots=True)
class PooledPlane(Method):
    """A plane fitted on what a pooling gives; see `Method`. Nothing here is random."""

    find: Find
    """How the plane is found."""
    pooling: Pooling
    """Which tokens make the vector."""
    find_path: FindPath | None = None
    """How the planes of several strengths are found together, where that is quicker."""

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """Find the plane and fold it into weights."""
        features, labels = answers.pooled(self.pooling)[examples], answers.labels[examples]
        return self._folded(self.find(features, labels, strength), len(answers.sites))

    def fit_path(
        self, answers: Answers, examples: Examples, *, strengths: Sequence[float], seed: int
    ) -> list[Fitted]:
        """Find all planes together, where the family can."""
        if self.find_path is None:
            return Method.fit_path(self, answers, examples, strengths=strengths, seed=seed)
        features, labels = answers.pooled(self.pooling)[examples], answers.labels[examples]
        planes = self.find_path(features, labels, strengths)
        return [self._folded(plane, len(answers.sites)) for plane in planes]

    def _folded(self, plane: Plane, sites: int) -> Fitted:
        """The plane as weights per site and position.

        `normal . (x - centre) + intercept` is `normal . x` and a bias. Each tail position
        carries its own part of it, so that a position that is not there adds nothing; the
        intercept goes with the newest token, which is always there.
        """
        shape = (sites, self.pooling.positions, -1)
        weights = plane.normal.reshape(shape)
        bias = -(weights * plane.centre.reshape(shape)).sum(axis=(0, 2))
        bias[-1] += plane.intercept
        return Fitted(
            weights=weights.astype(np.float32),
            bias=bias.astype(np.float32),
            estimator=plane.estimator,
            converged=plane.converged,
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`: a token alone in each position, all others at zero.

        What a position adds of the bias is not the estimator's to say; all of it together is.
        """
        tokens, sites, d_model = readings.shape
        positions = self.pooling.positions
        channels = np.empty((tokens, positions))
        for position in range(positions):
            laid = np.zeros((tokens, sites, positions, d_model))
            laid[:, :, position] = readings
            found = fitted.estimator.decision_function(laid.reshape(tokens, -1))
            channels[:, position] = found - np.delete(fitted.bias, position).sum(dtype=np.float64)
        return channels


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledFamily:
    """One logit per token, or one per position of a tail; see `ProbeFamily`."""

    name: str
    find: Find
    tuned: bool
    find_path: FindPath | None = None

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """All that read one score per token, and the concatenated tail."""
        return tuple(a for a in wanted if a.channels == 1 or a.kind == "tail_concat")

    def method(self, aggregator: AggregatorSpec, span: Span) -> PooledPlane:
        """On what the statistic averages: the span's tokens, or the tail's."""
        return PooledPlane(self.find, pooling_for(aggregator, span), self.find_path)
