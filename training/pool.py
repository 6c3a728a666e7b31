"""From a text's readings to the one vector that a probe is fitted on.

The feature follows the aggregator that the probe will be served with: what averages
scores is fitted on averaged readings, a tail on its tail, a concatenated tail on its
tokens side by side. Averaging is linear, so the score of a mean is the mean of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.aggregators import AggregatorSpec
from probing.spec import Site, Span
from training.collect import Collected

Features = Float[NDArray[np.float32], "examples features"]


@dataclass(frozen=True, slots=True)
class Pooling:
    """Which tokens enter the feature, and whether averaged or side by side."""

    span: Span
    """The tokens."""
    side_by_side: bool = False
    """True: one block of features per token of the tail, the oldest first."""

    @property
    def positions(self) -> int:
        """Blocks of features per site: the channels of the probe."""
        return self.span.tokens if self.side_by_side else 1


def pooling_for(aggregator: AggregatorSpec, span: Span) -> Pooling:
    """The feature that goes with an aggregator.

    `max` has no linear feature: it is fitted on the mean and scored with the maximum.
    """
    if aggregator.kind == "tail_concat":
        return Pooling(Span("tail", int(aggregator.value)), side_by_side=True)
    if aggregator.kind == "tail_mean":
        return Pooling(Span("tail", int(aggregator.value)))
    if aggregator.kind == "last":
        return Pooling(Span("tail", 1))
    return Pooling(span)


def pool(collected: Collected, sites: Sequence[Site], pooling: Pooling) -> Features:
    """One row per example; sites side by side, and within a site the tail's positions.

    A tail position that an answer is too short for holds the column's mean: after
    standardising it is 0 and adds nothing, as it does live.

    Raises:
        UnknownSite: a site was not collected.
    """
    return np.concatenate([_pool_site(collected, site, pooling) for site in sites], axis=1)


def _pool_site(collected: Collected, site: Site, pooling: Pooling) -> Features:
    rows = []
    for examples, block in collected.blocks(site):
        end = 0
        for example in examples:
            begin, end = end, end + int(collected.lengths[example])
            rendered, start = collected.rendered[example], int(collected.starts[example])
            counted = pooling.span.slice(rendered.response_start, len(rendered.token_ids))
            own = block[begin + counted.start - start : begin + counted.stop - start]
            rows.append(_side_by_side(own, pooling) if pooling.side_by_side else own.mean(axis=0))
    features = np.stack(rows)
    return _filled(features) if pooling.side_by_side else features


def _side_by_side(tokens: Features, pooling: Pooling) -> Float[NDArray[np.float32], " features"]:
    laid = np.full((pooling.positions, tokens.shape[1]), np.nan, dtype=np.float32)
    laid[pooling.positions - len(tokens) :] = tokens
    return laid.reshape(-1)


def _filled(features: Features) -> Features:
    absent = np.isnan(features)
    there = np.maximum((~absent).sum(axis=0), 1)
    means = np.where(absent, 0, features).sum(axis=0) / there
    return np.where(absent, means, features).astype(np.float32)
