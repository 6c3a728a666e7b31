"""Fit one linear probe: a standardised logistic regression, folded into plain weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probing.aggregators import AggregatorSpec
from probing.probe import Probe
from probing.spec import Site, Span
from training.pool import Features, Pooling

NEWTON_FEATURES_MAX = 1024
"""Up to here Newton's method is exact and quick; beyond, its matrix is too large."""
ITERATIONS_MAX = (200, 5000)
"""First try and second try, before a fit is reported as not converged."""
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted pipeline, and whether its solver came to an end."""

    pipeline: Any
    """StandardScaler and LogisticRegression in a scikit-learn Pipeline."""
    converged: bool
    """False where the iterations ran out: its weights are not the optimum."""


def fit(features: Features, labels: NDArray[np.int64], *, inverse_strength: float) -> Fit:
    """Fit a standardised logistic regression with an L2 penalty.

    Args:
        features: pooled readings, shape [examples, features].
        labels: 1 for misbehaving, 0 for honest.
        inverse_strength: scikit-learn's C: smaller is a stronger penalty.
    """
    solver = "newton-cholesky" if features.shape[1] <= NEWTON_FEATURES_MAX else "lbfgs"
    for iterations in ITERATIONS_MAX:
        regression = LogisticRegression(
            C=inverse_strength, solver=solver, max_iter=iterations, tol=TOLERANCE
        )
        pipeline = make_pipeline(StandardScaler(), regression)
        pipeline.fit(features.astype(np.float64), labels)
        if regression.n_iter_.max() < iterations:
            return Fit(pipeline, True)
    return Fit(pipeline, False)


@contextmanager
def solver_warnings_silenced() -> Iterator[None]:
    """Keep scikit-learn from printing what `Fit.converged` says; once around all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        yield


def folded(pipeline: Pipeline, *, sites: int, positions: int) -> tuple[NDArray[np.float32], ...]:
    """The pipeline as weights per site, [sites, positions, d_model], and bias, [positions].

    `w . (x - mean) / scale + b` is `(w / scale) . x + (b - w . mean / scale)`. Each tail
    position carries its own part of the bias, so that a position that is not there adds
    nothing; the intercept goes with the newest token, which is always there.
    """
    scaler, regression = pipeline[0], pipeline[-1]
    weights = (regression.coef_[0] / scaler.scale_).reshape(sites, positions, -1)
    bias = -(weights * scaler.mean_.reshape(weights.shape)).sum(axis=(0, 2))
    bias[-1] += regression.intercept_[0]
    return weights.astype(np.float32), bias.astype(np.float32)


def as_probe(
    fitted: Fit,
    *,
    name: str,
    fingerprint: str,
    sites: Sequence[Site],
    pooling: Pooling,
    aggregator: AggregatorSpec,
    span: Span,
    tokens_min: int,
) -> Probe:
    """The fit as a probe that can be scored live; its threshold is infinite until calibrated."""
    weights, bias = folded(fitted.pipeline, sites=len(sites), positions=pooling.positions)
    return Probe(
        name=name,
        version="0",
        fingerprint=fingerprint,
        weights=dict(zip(sites, weights, strict=True)),
        bias=bias,
        aggregator=aggregator,
        threshold=float("inf"),
        tokens_min=tokens_min,
        span=span,
    )
