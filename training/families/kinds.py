"""A probe with a channel for each kind of misbehaviour, all against honest.

A softmax regression over honest and the families of the data, on one vector per answer;
a channel is the margin of its kind over honest. Source: multinomial logistic regression,
as scikit-learn has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.families.token_regression import ITERATIONS_MAX, flat
from training.pool import Pooling

HONEST = ""
"""Sorts before every family."""
SILENT = -30.0
"""Logit of a kind that was not among what was fitted on."""


def kinds_of(answers: Answers) -> list[str]:
    """Families with misbehaving answers, sorted."""
    return sorted({e.family for e in answers.dataset if e.label == "misbehaving"})


def kind_labels(answers: Answers, examples: Examples) -> NDArray[np.str_]:
    """Of each example its family where it misbehaves, else the empty name."""
    chosen = [answers.dataset.examples[i] for i in examples.tolist()]
    return np.array([e.family if e.label == "misbehaving" else HONEST for e in chosen])


@dataclass(frozen=True, slots=True)
class Kinds(Method):
    """See `Method`. Fitted on the mean of the span's tokens."""

    span: Span

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """Fit all kinds together; one that these examples lack keeps a channel that is silent."""
        regression = LogisticRegression(C=strength, max_iter=ITERATIONS_MAX)
        pipeline = make_pipeline(StandardScaler(), regression)
        pooled = answers.pooled(Pooling(self.span))[examples]
        pipeline.fit(flat(pooled), kind_labels(answers, examples))
        kinds, seen = kinds_of(answers), pipeline.classes_[1:].tolist()
        normals, biases = _margins(pipeline)
        weights = np.zeros((len(kinds), normals.shape[1]))
        bias = np.full(len(kinds), SILENT)
        rows = [kinds.index(kind) for kind in seen]
        weights[rows], bias[rows] = normals, biases
        shape = (len(kinds), len(answers.sites), -1)
        return Fitted(
            weights=weights.reshape(shape).transpose(1, 0, 2).astype(np.float32),
            bias=bias.astype(np.float32),
            estimator=(pipeline, kinds),
            converged=bool(regression.n_iter_.max() < ITERATIONS_MAX),
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`: each kind's log-odds against honest, as the pipeline gives chances."""
        pipeline, kinds = fitted.estimator
        chances = pipeline.predict_log_proba(flat(readings))
        channels = np.full((len(readings), len(kinds)), SILENT)
        for column, kind in enumerate(pipeline.classes_[1:].tolist(), start=1):
            channels[:, kinds.index(kind)] = chances[:, column] - chances[:, 0]
        return channels


@dataclass(frozen=True, slots=True, kw_only=True)
class KindsFamily:
    """A channel for each kind of misbehaviour in the data; see `ProbeFamily`."""

    name: str
    aggregator: str
    """The statistic's name, without its number of kinds."""
    method_on: Callable[[Span], Method]
    """How it is fitted on the tokens of a span."""
    tuned = True

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """Its own, over as many kinds as the data has."""
        return (AggregatorSpec(self.aggregator, len(kinds_of(answers))),)

    def method(self, aggregator: AggregatorSpec, span: Span) -> Method:
        """The same, however many kinds there are."""
        return self.method_on(span)


def _margins(pipeline: Pipeline) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias of each kind over honest, the scaler folded in."""
    scaler, regression = pipeline[0], pipeline[-1]
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) > 2:  # of two, scikit-learn keeps the margin alone
        coefficients = coefficients[1:] - coefficients[0]
        intercepts = intercepts[1:] - intercepts[0]
    normals = coefficients / scaler.scale_
    return normals, intercepts - normals @ scaler.mean_


FAMILY = KindsFamily(name="kinds", aggregator="any_class", method_on=Kinds)
