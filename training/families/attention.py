"""Heads that attend over the tokens of an answer.

Source: Shabalin and Belrose, "Attention Probes" (2025), without their weight of the position:
each head gives a token a query and a value, and the answer's logit is the values weighted
by a softmax of the queries. Served with three numbers per head and stream.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from probing.aggregators import AggregatorSpec
from training.families.heads import Channels, HeadFamily, There, softmax_mean, through

HEADS = 4


def whole(channels: Channels, there: There) -> Float[Tensor, " answers"]:
    """The aggregator `attention:4` over all tokens, for training."""
    return softmax_mean(channels[..., :HEADS], channels[..., HEADS:], there).sum(dim=1)


FAMILY = HeadFamily(
    name="attention", aggregator=AggregatorSpec("attention", HEADS), loss=through(whole)
)
