"""A bank of probes, one for each kind of misbehaviour against all that is honest.

The highest of them counts: what one kind says clearly is not averaged away by the rest.
Each is a logistic regression of its own on one vector per answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.families.kinds import HONEST, SILENT, KindsFamily, kind_labels, kinds_of
from training.families.logistic_regression import find
from training.families.token_regression import flat
from training.pool import Pooling


@dataclass(frozen=True, slots=True)
class Indicators(Method):
    """See `Method`. Fitted on the mean of the span's tokens."""

    span: Span

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """One regression per kind; one that these examples lack stays silent."""
        features = answers.pooled(Pooling(self.span))[examples]
        found = kind_labels(answers, examples)
        kinds = kinds_of(answers)
        weights = np.zeros((len(kinds), features.shape[1]))
        bias = np.full(len(kinds), SILENT)
        pipelines, converged = {}, True
        for row, kind in enumerate(kinds):
            own = found == kind
            if own.any():
                counted = own | (found == HONEST)
                plane = find(features[counted], own[counted].astype(np.int64), strength)
                weights[row] = plane.normal
                bias[row] = plane.intercept - plane.normal @ plane.centre
                pipelines[row] = plane.estimator
                converged &= plane.converged
        shape = (len(kinds), len(answers.sites), -1)
        return Fitted(
            weights=weights.reshape(shape).transpose(1, 0, 2).astype(np.float32),
            bias=bias.astype(np.float32),
            estimator=(pipelines, kinds),
            converged=converged,
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`."""
        pipelines, kinds = fitted.estimator
        channels = np.full((len(readings), len(kinds)), SILENT)
        for row, pipeline in pipelines.items():
            channels[:, row] = pipeline.decision_function(flat(readings))
        return channels


FAMILY = KindsFamily(name="indicators", aggregator="indicators", method_on=Indicators)
