"""Logits of single tokens, trained where they speak loudest.

The loss of an answer is the mean of its tokens' losses, weighted by a softmax of their
logits, and a logit is averaged over the sixteen tokens before it. So a probe may stay
silent on tokens that say nothing. Source: Cunningham et al., "Constitutional Classifiers++"
(2026).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers
from training.families.heads import Channels, Head, Labels, There

WINDOW = 16
"""Tokens over which a logit slides."""
TEMPERATURE = 1.0
"""Of the softmax that weighs them."""


def loss(channels: Channels, there: There, labels: Labels) -> Tensor:
    """Cross-entropy of every token's sliding mean, weighted by a softmax of that mean."""
    slid = sliding_mean(channels[..., 0].masked_fill(~there, 0.0))
    weights = (slid / TEMPERATURE).masked_fill(~there, -torch.inf).softmax(dim=1)
    truth = labels[:, None].expand_as(slid)
    each = functional.binary_cross_entropy_with_logits(slid, truth, reduction="none")
    return (weights * each).sum(dim=1).mean()


def sliding_mean(logits: Float[Tensor, "answers tokens"]) -> Float[Tensor, "answers tokens"]:
    """Mean of each token's logit and of those before it, `WINDOW` at most."""
    tokens = logits.shape[1]
    summed = logits.cumsum(dim=1)
    before = functional.pad(summed, (WINDOW, 0))[:, :tokens]
    return (summed - before) / torch.arange(1, tokens + 1).clamp(max=WINDOW)


@dataclass(frozen=True, slots=True)
class SoftmaxLossFamily:
    """See `ProbeFamily`."""

    name = "softmax_loss"
    tuned = True

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """All that read one score per token."""
        return tuple(a for a in wanted if a.channels == 1)

    def method(self, aggregator: AggregatorSpec, span: Span) -> Head:
        """The same for all of them."""
        return Head(span=span, channels=1, loss=loss)


FAMILY = SoftmaxLossFamily()
