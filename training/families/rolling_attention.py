"""Attention within a window of ten tokens, of which the highest counts.

Source: the rolling-window attention of Kramár et al., "Building Production-Ready Probes For
Gemini" (2026).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probing.aggregators import AggregatorSpec
from training.families.heads import Channels, HeadFamily, There, through

WINDOW = 10


def whole(channels: Channels, there: There) -> Float[Tensor, " answers"]:
    """The aggregator `rolling_attention:10` over all tokens, for training."""
    filler = WINDOW - channels.shape[1]
    if filler > 0:
        channels = torch.nn.functional.pad(channels, (0, 0, 0, filler))
        there = torch.nn.functional.pad(there, (0, filler))
    query = channels[..., 0].masked_fill(~there, -torch.inf).unfold(1, WINDOW, 1)
    value = channels[..., 1].unfold(1, WINDOW, 1)
    present = there.unfold(1, WINDOW, 1)
    counted = present.all(dim=2)
    counted[:, 0] = True  # of an answer that is shorter, what there is
    # A window without a token would give no number, and no number has no gradient.
    query = query.masked_fill(~counted[:, :, None], 0.0)
    means = (query.softmax(dim=2) * value).sum(dim=2)
    return means.masked_fill(~counted, -torch.inf).amax(dim=1)


FAMILY = HeadFamily(
    name="rolling_attention",
    aggregator=AggregatorSpec("rolling_attention", WINDOW),
    loss=through(whole),
)
