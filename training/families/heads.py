"""Heads that read an answer's tokens together, trained with torch.

Each token gives some channels, and an aggregator makes one statistic of all of them. Here
the same sum is written once more for torch, because gradients have to pass it; a test
holds it equal to the streaming aggregator that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers, Examples, Fitted, Logits, Method, TokenReadings
from training.families.validation import best_of_seeds, set_aside

STEPS_MAX = 1_500
"""Batches at most, however few make a pass over the data."""
PATIENCE_STEPS = 200
"""Without a lower validation loss before a run is over; one pass at least."""
BATCH_ANSWERS = 64
LEARNING_RATE = 5e-3
TOKENS_MAX = 128
"""First tokens of an answer that are trained on."""

Channels = Float[Tensor, "answers tokens channels"]
There = Bool[Tensor, "answers tokens"]
Labels = Float[Tensor, " answers"]
Loss = Callable[[Channels, There, Labels], Tensor]
"""From channels, which tokens there are, and 1 for misbehaving, to the mean loss in nats."""
Whole = Callable[[Channels, There], Float[Tensor, " answers"]]
"""From channels, and which tokens there are, to one logit per answer."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Channels of standardised readings, as the workshop keeps them."""

    mean: Float[NDArray[np.float64], " features"]
    scale: Float[NDArray[np.float64], " features"]
    weights: Float[NDArray[np.float64], "channels features"]
    bias: Float[NDArray[np.float64], " channels"]


@dataclass(frozen=True, slots=True)
class Head(Method):
    """A linear map to channels with a loss of its own; see `Method`."""

    span: Span
    channels: int
    loss: Loss

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """Train from several seeds and keep the one that does best on situations set aside."""
        split = set_aside(answers, examples, seed=seed)
        train, held = (_Batches(answers, part, self.span) for part in split)
        mean, scale = train.spread()

        def trained(own: int) -> tuple[float, _Layer]:
            return _train(self, train, held, mean, scale, strength, own)

        layer = best_of_seeds(trained, seed=seed)
        weights = layer.weight.detach().numpy().astype(np.float64)
        bias = layer.bias.detach().numpy().astype(np.float64)
        linear = Linear(mean.astype(np.float64), scale.astype(np.float64), weights, bias)
        folded = weights / linear.scale
        shape = (self.channels, len(answers.sites), -1)
        return Fitted(
            weights=folded.reshape(shape).transpose(1, 0, 2).astype(np.float32),
            bias=(bias - folded @ linear.mean).astype(np.float32),
            estimator=linear,
        )

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """See `Method`."""
        linear: Linear = fitted.estimator
        standard = (readings.reshape(len(readings), -1) - linear.mean) / linear.scale
        return np.asarray(standard @ linear.weights.T + linear.bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFamily:
    """Heads trained through the one statistic that they go with; see `ProbeFamily`."""

    name: str
    aggregator: AggregatorSpec
    loss: Loss
    tuned = True

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """Its own alone."""
        return (self.aggregator,)

    def method(self, aggregator: AggregatorSpec, span: Span) -> Head:
        """A head with the channels that the statistic takes."""
        return Head(span=span, channels=self.aggregator.channels, loss=self.loss)


_Layer = torch.nn.Linear


class _Batches:
    """Answers of about the same length, padded on the right."""

    def __init__(self, answers: Answers, examples: Examples, span: Span) -> None:
        self._rows = [answers.tokens(e, span)[:TOKENS_MAX] for e in examples.tolist()]
        self._rows = [row.reshape(len(row), -1) for row in self._rows]
        self._labels = torch.from_numpy(answers.labels[examples]).float()
        order = np.argsort([len(row) for row in self._rows], kind="stable")
        self._groups = np.split(order, range(BATCH_ANSWERS, len(order), BATCH_ANSWERS))

    def spread(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of every feature; 1 where it is constant."""
        stacked = np.concatenate(self._rows)
        scale = stacked.std(axis=0)
        return stacked.mean(axis=0), np.where(scale > 0, scale, 1).astype(np.float32)

    def __len__(self) -> int:
        return len(self._groups)

    def batch(self, number: int) -> tuple[Tensor, There, Tensor]:
        """Readings [answers, tokens, features], which tokens there are, and labels."""
        group: Int[NDArray[np.intp], " answers"] = self._groups[number]
        rows = [torch.from_numpy(self._rows[i]) for i in group.tolist()]
        lengths = torch.tensor([len(row) for row in rows])
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        there = torch.arange(padded.shape[1]) < lengths[:, None]
        return padded, there, self._labels[torch.from_numpy(group)]


def _train(
    head: Head,
    train: _Batches,
    held: _Batches,
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    strength: float,
    seed: int,
) -> tuple[float, _Layer]:
    """AdamW until the validation loss no longer falls.

    Returns:
        The lowest validation loss and the layer as it was then.
    """
    generator = torch.Generator().manual_seed(seed)
    layer = _Layer(len(mean), head.channels)
    with torch.no_grad():
        layer.weight.normal_(0, len(mean) ** -0.5, generator=generator)
        layer.bias.zero_()
    shift, spread = torch.from_numpy(mean), torch.from_numpy(scale)

    def loss(batches: _Batches, number: int) -> Tensor:
        readings, there, labels = batches.batch(number)
        return head.loss(layer((readings - shift) / spread), there, labels)

    optimizer = torch.optim.AdamW(layer.parameters(), LEARNING_RATE, weight_decay=1 / strength)
    best, kept, waited, steps = float("inf"), layer.state_dict(), 0, 0
    while steps < STEPS_MAX and waited < max(PATIENCE_STEPS, len(train) + 1):
        for number in torch.randperm(len(train), generator=generator).tolist():
            optimizer.zero_grad(set_to_none=True)
            loss(train, number).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        steps, waited = steps + len(train), waited + len(train)
        with torch.no_grad():
            found = float(np.mean([float(loss(held, number)) for number in range(len(held))]))
        if found < best:
            best, waited = found, 0
            kept = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    layer.load_state_dict(kept)
    return best, layer


def through(whole: Whole) -> Loss:
    """The cross-entropy of the one logit that a statistic makes of an answer."""

    def loss(channels: Channels, there: There, labels: Labels) -> Tensor:
        return functional.binary_cross_entropy_with_logits(whole(channels, there), labels)

    return loss


def softmax_mean(
    queries: Float[Tensor, "answers tokens heads"],
    values: Float[Tensor, "answers tokens heads"],
    there: There,
) -> Float[Tensor, "answers heads"]:
    """Values weighted by a softmax of the queries over the tokens there are."""
    weights = queries.masked_fill(~there[:, :, None], -torch.inf).softmax(dim=1)
    return (weights * values).sum(dim=1)
