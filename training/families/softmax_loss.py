"""Logits of single tokens, trained where they speak loudest.

The loss of an answer is the mean of its tokens' losses, weighted by a softmax of their
logits, and a logit is averaged over the sixteen tokens before it. So a probe may stay
silent on tokens that say nothing. Source: Cunningham et al., "Constitutional Classifiers++"
(2026).
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from training.families.heads import Channels, Head, Labels, There
from training.families.per_token import PerTokenFamily

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


FAMILY = PerTokenFamily(name="softmax_loss", method_on=partial(Head, channels=1, loss=loss))
