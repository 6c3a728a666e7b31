"""Heads that each keep their highest value.

Source: the MultiMax probe of Kramár et al., "Building Production-Ready Probes For Gemini"
(2026): with hard maxima a long harmless text cannot dilute a short bad passage.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probing.aggregators import AggregatorSpec
from training.families.heads import Channels, HeadFamily, There, through

HEADS = 4


def whole(channels: Channels, there: There) -> Float[Tensor, " answers"]:
    """The aggregator `multimax:4` over all tokens, for training."""
    return channels.masked_fill(~there[:, :, None], -torch.inf).amax(dim=1).sum(dim=1)


FAMILY = HeadFamily(
    name="multimax", aggregator=AggregatorSpec("multimax", HEADS), loss=through(whole)
)
