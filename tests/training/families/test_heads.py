"""Heads trained in torch: what is trained is what is served."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probing.aggregators import AggregatorSpec, running
from training.families import attention, multimax, rolling_attention
from training.families.heads import Whole
from training.families.softmax_loss import WINDOW, loss, sliding_mean


@pytest.mark.parametrize(
    ("whole", "written"),
    [
        (attention.whole, f"attention:{attention.HEADS}"),
        (multimax.whole, f"multimax:{multimax.HEADS}"),
        (rolling_attention.whole, f"rolling_attention:{rolling_attention.WINDOW}"),
    ],
)
def test_what_is_trained_through_is_the_streaming_statistic(whole: Whole, written: str) -> None:
    """Trained through another sum, the probe that serves would not be the one that was fitted."""
    spec, rng = AggregatorSpec.parse(written), np.random.default_rng(0)
    streams = [rng.normal(size=(n, spec.channels)).astype(np.float32) for n in (25, 12, 10, 3, 1)]
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(s) for s in streams], True, 9.0)
    there = torch.arange(25) < torch.tensor([len(s) for s in streams])[:, None]

    trained = whole(padded, there)
    alone = whole(torch.from_numpy(streams[3])[None], torch.ones(1, 3, dtype=torch.bool))

    assert trained.numpy() == pytest.approx([running(spec, s)[-1] for s in streams], abs=1e-5)
    assert float(alone[0]) == pytest.approx(float(trained[3]), abs=1e-6)


@pytest.mark.parametrize("whole", [attention.whole, multimax.whole, rolling_attention.whole])
def test_padding_has_no_gradient_and_nothing_is_undefined(whole: Whole) -> None:
    channels = torch.randn(2, 15, 8, requires_grad=True)
    there = torch.arange(15) < torch.tensor([15, 4])[:, None]

    whole(channels, there).sum().backward()

    assert channels.grad is not None
    assert channels.grad.isfinite().all()
    assert (channels.grad[1, 4:] == 0).all()


def test_a_logit_slides_over_the_tokens_before_it() -> None:
    logits = torch.randn(1, 40)

    expected = [logits[0, max(0, t + 1 - WINDOW) : t + 1].mean() for t in range(40)]
    assert torch.allclose(sliding_mean(logits)[0], torch.stack(expected), atol=1e-5)


def test_the_softmax_loss_counts_the_tokens_that_speak_loudest() -> None:
    quiet, loud = torch.full((1, 40, 1), -4.0), torch.full((1, 40, 1), -4.0)
    loud[0, 20:36] = 6.0
    there, bad = torch.ones(1, 40, dtype=torch.bool), torch.ones(1)

    assert loss(loud, there, bad) < 0.05 < loss(quiet, there, bad)
    assert loss(loud, there, 1 - bad) > 4, "one loud passage is enough to blame an honest answer"
    cut = torch.arange(40)[None] < 20
    alone = loss(loud[:, :20], there[:, :20], bad)
    assert float(loss(loud, cut, bad)) == pytest.approx(float(alone)), "padding has no weight"
