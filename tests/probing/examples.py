"""Small probes with weights that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probing.aggregators import AggregatorSpec
from probing.probe import Probe, Readout, Role
from probing.spec import Site

SITE = Site(1, "hook_resid_post")


def probe(
    name: str = "petty",
    *,
    aggregator: str = "mean",
    threshold: float = 1.0,
    tokens_min: int = 1,
    role: Role = "champion",
    sites: Sequence[Site] = (SITE,),
    d_model: int = 64,
    seed: int = 0,
    fingerprint: str = "f" * 12,
    hidden: int = 0,
) -> Probe:
    """Random weights; with so many hidden units where that is not 0."""
    spec = AggregatorSpec.parse(aggregator)
    rng = np.random.default_rng(seed)
    rows = hidden or spec.channels
    layer = Readout(
        rng.normal(size=(spec.channels, rows)).astype(np.float32),
        rng.normal(size=spec.channels).astype(np.float32),
    )
    return Probe(
        name=name,
        version="1",
        fingerprint=fingerprint,
        weights={s: rng.normal(size=(rows, d_model)).astype(np.float32) for s in sites},
        bias=rng.normal(size=rows).astype(np.float32),
        readout=layer if hidden else None,
        aggregator=spec,
        threshold=threshold,
        tokens_min=tokens_min,
        role=role,
    )
