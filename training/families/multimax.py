"""Heads that each keep their highest value.

Source: the MultiMax probe of Kramár et al., "Building Production-Ready Probes For Gemini"
(2026): with hard maxima a long harmless text cannot dilute a short bad passage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers
from training.families.heads import Channels, Head, There, through

HEADS = 4


def whole(channels: Channels, there: There) -> Float[Tensor, " answers"]:
    """The aggregator `multimax:4` over all tokens, for training."""
    return channels.masked_fill(~there[:, :, None], -torch.inf).amax(dim=1).sum(dim=1)


LOSS = through(whole)


@dataclass(frozen=True, slots=True)
class MultiMaxFamily:
    """See `ProbeFamily`."""

    name = "multimax"
    tuned = True

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """Its own alone."""
        return (AggregatorSpec("multimax", HEADS),)

    def method(self, aggregator: AggregatorSpec, span: Span) -> Head:
        """Trained through its statistic."""
        return Head(span=span, channels=HEADS, loss=LOSS)


FAMILY = MultiMaxFamily()
