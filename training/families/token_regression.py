"""Logistic regression on single tokens, each labelled as its answer is.

Sees the spread of tokens that the mean of an answer hides. Source: the per-token probes of
Goldowsky-Dill et al., "Detecting Strategic Deception Using Linear Probes" (2025). An answer
counts as one, however many of its tokens are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.families.per_token import PerTokenFamily

TOKENS_MAX = 12
"""Drawn of each answer: neighbouring tokens read much the same."""
ITERATIONS_MAX = 200
"""Before a fit is reported as not converged."""
TOLERANCE = 1e-6


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
class TokenRegression(Method):
    """See `Method`."""

    span: Span

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """A standardised logistic regression with an L2 penalty."""
        sample = draw(answers, examples, self.span, seed=seed)
        labels = answers.labels[examples][sample.answers]
        regression = LogisticRegression(
            C=strength, solver="newton-cholesky", max_iter=ITERATIONS_MAX, tol=TOLERANCE
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
            converged=bool(regression.n_iter_.max() < ITERATIONS_MAX),
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`."""
        pipeline: Pipeline = fitted.estimator
        return np.asarray(pipeline.decision_function(flat(readings)))[:, None]


FAMILY = PerTokenFamily(name="token_regression", method_on=TokenRegression)
