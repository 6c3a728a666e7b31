"""A probe for each site, and a second regression on what they say.

Several layers gain most where one alone fails. Source: the layers combined in Cunningham
et al., "Constitutional Classifiers++" (2026). What the second regression learns from was
said of situations that the first did not see; both are planes, so what is served is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.families.logistic_regression import find
from training.families.per_token import PerTokenFamily
from training.pool import Features, Pooling

PARTS = 3
"""Into which the situations are dealt for the second regression."""


@dataclass(frozen=True, slots=True)
class Stacked:
    """Pipelines of the sites, and the regression on their logits."""

    first: tuple[object, ...]
    second: LogisticRegression

    def decision_function(self, readings: Sequence[Features]) -> NDArray[np.float64]:
        """Logit of each row, from one matrix of features per site."""
        said = [
            pipeline.decision_function(own)  # type: ignore[attr-defined]
            for pipeline, own in zip(self.first, readings, strict=True)
        ]
        return np.asarray(self.second.decision_function(np.column_stack(said)))


@dataclass(frozen=True, slots=True)
class Stack(Method):
    """See `Method`. Fitted on the mean of the span's tokens."""

    span: Span

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """Fit each site on parts and on all, and the weights of what they say."""
        pooled = answers.pooled(Pooling(self.span))[examples]
        per_site = np.split(pooled, len(answers.sites), axis=1)
        labels = answers.labels[examples]
        said = np.column_stack([self._unseen(answers, examples, x, strength) for x in per_site])
        second = LogisticRegression().fit(said, labels)
        planes = [find(x, labels, strength) for x in per_site]
        shares = second.coef_[0]
        normals = np.stack([s * p.normal for s, p in zip(shares, planes, strict=True)])
        middles = np.stack([plane.centre for plane in planes])
        intercepts = np.array([plane.intercept for plane in planes])
        bias = second.intercept_[0] + shares @ intercepts - (normals * middles).sum()
        return Fitted(
            weights=normals[:, None].astype(np.float32),
            bias=np.array([bias], dtype=np.float32),
            estimator=Stacked(tuple(plane.estimator for plane in planes), second),
            converged=all(plane.converged for plane in planes),
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`."""
        stacked: Stacked = fitted.estimator
        return stacked.decision_function(list(readings.transpose(1, 0, 2)))[:, None]

    def _unseen(
        self, answers: Answers, examples: Examples, features: Features, strength: float
    ) -> Float[NDArray[np.float64], " examples"]:
        """Logit of each example by a probe that was fitted on other situations."""
        labels = answers.labels[examples]
        situations = np.asarray(answers.dataset.situations)[examples]
        said = np.empty(len(examples))
        for train, test in GroupKFold(PARTS).split(features, labels, situations):
            plane = find(features[train], labels[train], strength)
            said[test] = plane.estimator.decision_function(features[test])
        return said


FAMILY = PerTokenFamily(name="stack", method_on=Stack, sites_min=2)
