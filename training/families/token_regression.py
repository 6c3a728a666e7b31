"""Logistic regression on single tokens, each labelled as its answer is.

Sees the spread of tokens that the mean of an answer hides. Source: the per-token probes of
Goldowsky-Dill et al., "Detecting Strategic Deception Using Linear Probes" (2025). An answer
counts as one, however many of its tokens are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, TokenReadings
from training.families.logistic_regression import ITERATIONS_MAX, TOLERANCE

TOKENS_MAX = 12
"""Drawn of each answer: neighbouring tokens read much the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Tokens of some answers, one under the other."""

    readings: TokenReadings
    answers: NDArray[np.intp]
    """Which of the answers each token is of, counted from 0."""
    weights: Float[NDArray[np.float64], " tokens"]
    """1 over the number of tokens drawn of its answer."""


def draw(answers: Answers, examples: Examples, span: Span, *, seed: int) -> Sample:
    """At most `TOKENS_MAX` random tokens of each answer."""
    rng = np.random.default_rng(seed)
    readings, owners, weights = [], [], []
    for place, example in enumerate(examples.tolist()):
        tokens = answers.tokens(example, span)
        drawn = min(TOKENS_MAX, len(tokens))
        readings.append(tokens[rng.choice(len(tokens), drawn, replace=False)])
        owners.append(np.full(drawn, place))
        weights.append(np.full(drawn, 1 / drawn))
    return Sample(
        readings=np.concatenate(readings),
        answers=np.concatenate(owners),
        weights=np.concatenate(weights),
    )


def flat(readings: TokenReadings) -> NDArray[np.float64]:
    """Sites side by side, as scikit-learn takes them."""
    return readings.reshape(len(readings), -1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class TokenRegression:
    """See `Method`."""

    span: Span

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """A standardised logistic regression with an L2 penalty."""
        sample = draw(answers, examples, self.span, seed=seed)
        labels = answers.labels[examples][sample.answers]
        regression = LogisticRegression(
            C=strength, solver="newton-cholesky", max_iter=ITERATIONS_MAX[0], tol=TOLERANCE
        )
        pipeline = make_pipeline(StandardScaler(), regression)
        own = {"logisticregression__sample_weight": sample.weights}
        pipeline.fit(flat(sample.readings), labels, **own)
        normal = regression.coef_[0] / pipeline[0].scale_
        bias = regression.intercept_ - normal @ pipeline[0].mean_
        return Fitted(
            weights=normal.reshape(len(answers.sites), 1, -1).astype(np.float32),
            bias=bias.astype(np.float32),
            estimator=pipeline,
            converged=bool(regression.n_iter_.max() < ITERATIONS_MAX[0]),
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`."""
        pipeline: Pipeline = fitted.estimator
        return np.asarray(pipeline.decision_function(flat(readings)))[:, None]


@dataclass(frozen=True, slots=True)
class TokenRegressionFamily:
    """See `ProbeFamily`."""

    name = "token_regression"
    tuned = True

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """All that read one score per token."""
        return tuple(a for a in wanted if a.channels == 1)

    def method(self, aggregator: AggregatorSpec, span: Span) -> TokenRegression:
        """The same for all of them."""
        return TokenRegression(span)


FAMILY = TokenRegressionFamily()
