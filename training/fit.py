"""From a fit to a probe that can be scored live."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from probing.aggregators import AggregatorSpec
from probing.probe import Probe
from probing.spec import Site, Span
from training.families.family import Fitted


@contextmanager
def solver_warnings_silenced() -> Iterator[None]:
    """Keep scikit-learn from printing what `Fitted.converged` says; once around all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        yield


def as_probe(
    fitted: Fitted,
    *,
    name: str,
    fingerprint: str,
    sites: Sequence[Site],
    aggregator: AggregatorSpec,
    span: Span,
    tokens_min: int,
) -> Probe:
    """The fit as a probe; its threshold is infinite until it is calibrated."""
    return Probe(
        name=name,
        version="0",
        fingerprint=fingerprint,
        weights=dict(zip(sites, fitted.weights, strict=True)),
        bias=fitted.bias,
        readout=fitted.readout,
        aggregator=aggregator,
        threshold=float("inf"),
        tokens_min=tokens_min,
        span=span,
    )
