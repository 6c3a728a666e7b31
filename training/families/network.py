"""A small network with one hidden layer, fitted on single tokens.

Where the boundary is no plane a few units bend it. Source: the MLP probes of McKenzie et
al., "Detecting High-Stakes Interactions with Activation Probes" (2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probing.probe import Readout
from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.families.per_token import PerTokenFamily
from training.families.token_regression import Sample, draw, flat
from training.families.validation import best_of_seeds, set_aside

UNITS = 16
EPOCHS_MAX = 30
BATCH_TOKENS = 512
LEARNING_RATE = 3e-3


@dataclass(frozen=True, slots=True)
class Network(Method):
    """See `Method`."""

    span: Span

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """Fit from several seeds and keep the one that does best on situations set aside."""
        split = set_aside(answers, examples, seed=seed)
        train, held = (draw(answers, part, self.span, seed=seed) for part in split)
        truth, labels = (
            answers.labels[part][sample.answers]
            for part, sample in zip(split[::-1], (held, train), strict=True)
        )

        def fitted(own: int) -> tuple[float, Pipeline]:
            pipeline = _trained(train, labels, strength, own)
            chances = pipeline.predict_proba(flat(held.readings))[:, 1]
            loss = log_loss(truth, chances, sample_weight=held.weights, labels=[0, 1])
            return float(loss), pipeline

        return _folded(best_of_seeds(fitted, seed=seed), len(answers.sites))

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`: the layers as scikit-learn holds them, before its sigmoid."""
        scaler, network = fitted.estimator
        active = np.maximum(
            scaler.transform(flat(readings)) @ network.coefs_[0] + network.intercepts_[0], 0
        )
        return np.asarray(active @ network.coefs_[1] + network.intercepts_[1])


def _trained(sample: Sample, labels: Any, strength: float, seed: int) -> Pipeline:
    network = MLPClassifier(
        (UNITS,),
        alpha=1 / strength,
        batch_size=min(BATCH_TOKENS, len(labels)),
        learning_rate_init=LEARNING_RATE,
        max_iter=EPOCHS_MAX,
        random_state=seed,
    )
    pipeline = make_pipeline(StandardScaler(), network)
    pipeline.fit(flat(sample.readings), labels)
    return pipeline


def _folded(pipeline: Pipeline, sites: int) -> Fitted:
    """The scaler goes into the first layer."""
    scaler, network = pipeline[0], pipeline[-1]
    first = network.coefs_[0].T / scaler.scale_
    bias = network.intercepts_[0] - first @ scaler.mean_
    return Fitted(
        weights=first.reshape(UNITS, sites, -1).transpose(1, 0, 2).astype(np.float32),
        bias=bias.astype(np.float32),
        readout=Readout(
            network.coefs_[1].T.astype(np.float32), network.intercepts_[1].astype(np.float32)
        ),
        estimator=(scaler, network),
    )


FAMILY = PerTokenFamily(name="network", method_on=Network)
