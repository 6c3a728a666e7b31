"""Aggregators of probes that give one score per token.

State is held for many streams and a group of probes at once, in numpy; the streams that
are pushed stand in the first rows, so that their state is a view: gathering and
scattering it cost more than the arithmetic. What the methods promise stands in
`probing.aggregators.Aggregator`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.compiled import compiled

Scores = Float[NDArray[np.float32], "streams channels"]
Statistics = Float[NDArray[np.float32], "streams probes"]
Sums = Float[NDArray[np.float64], "streams ..."]


class Mean:
    """Mean over all tokens so far."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._total = np.zeros((streams_max, probes))
        self._count = np.zeros(streams_max)

    def push(self, scores: Scores) -> Statistics:
        return _mean(scores, self._total, self._count)

    def reset(self, row: int) -> None:
        self._total[row] = 0
        self._count[row] = 0

    def move(self, source: int, target: int) -> None:
        self._total[target] = self._total[source]
        self._count[target] = self._count[source]


@compiled
def _mean(scores: Scores, total: Sums, count: Sums) -> Statistics:
    """Compiled, because most probes are averaged and every step waits for it."""
    statistics = np.empty(scores.shape, np.float32)
    for row in range(scores.shape[0]):
        count[row] += 1
        for probe in range(scores.shape[1]):
            total[row, probe] += scores[row, probe]
            statistics[row, probe] = total[row, probe] / count[row]
    return statistics


class Max:
    """Highest score so far."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._highest = np.full((streams_max, probes), -np.inf, dtype=np.float32)

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        highest: Statistics = np.maximum(self._highest[:streams], scores)
        self._highest[:streams] = highest
        return highest

    def reset(self, row: int) -> None:
        self._highest[row] = -np.inf

    def move(self, source: int, target: int) -> None:
        self._highest[target] = self._highest[source]


class Last:
    """The newest token's score."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        """Nothing is held."""

    def push(self, scores: Scores) -> Statistics:
        return scores

    def reset(self, row: int) -> None:
        """Nothing to forget."""

    def move(self, source: int, target: int) -> None:
        """Nothing to move."""


class Ema:
    """Exponential moving average that starts at the first score: `m += weight * (s - m)`."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._weight = value
        self._average = np.full((streams_max, probes), np.nan)

    def push(self, scores: Scores) -> Statistics:
        average = self._average[: len(scores)]
        np.copyto(average, scores, where=np.isnan(average))
        average += self._weight * (scores - average)
        return average.astype(np.float32)

    def reset(self, row: int) -> None:
        self._average[row] = np.nan

    def move(self, source: int, target: int) -> None:
        self._average[target] = self._average[source]


class TailMean:
    """Mean of the newest `value` scores, or of all while there are fewer."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._window = int(value)
        self._ring = np.zeros((streams_max, self._window, probes), dtype=np.float32)
        self._count = np.zeros(streams_max, dtype=np.intp)

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        ring, count = self._ring[:streams], self._count[:streams]
        ring[np.arange(streams), count % self._window] = scores
        count += 1
        held = np.minimum(count, self._window)[:, None]
        mean: Statistics = (ring.sum(axis=1, dtype=np.float64) / held).astype(np.float32)
        return mean

    def reset(self, row: int) -> None:
        self._ring[row] = 0
        self._count[row] = 0

    def move(self, source: int, target: int) -> None:
        self._ring[target] = self._ring[source]
        self._count[target] = self._count[source]


class RollingMax:
    """Highest mean over `value` neighbouring tokens so far.

    Until that many tokens were read it is the mean of those there are, so that a
    short answer has a statistic too; from then on only full windows count.
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._window = int(value)
        self._mean = TailMean(value, streams_max=streams_max, probes=probes)
        self._highest = np.full((streams_max, probes), -np.inf, dtype=np.float32)
        self._count = np.zeros((streams_max, 1), dtype=np.intp)

    def push(self, scores: Scores) -> Statistics:
        mean = self._mean.push(scores)
        streams = len(scores)
        highest, count = self._highest[:streams], self._count[:streams]
        count += 1
        full = count >= self._window
        np.maximum(highest, mean, out=highest, where=full)
        return np.where(full, highest, mean)

    def reset(self, row: int) -> None:
        self._mean.reset(row)
        self._highest[row] = -np.inf
        self._count[row] = 0

    def move(self, source: int, target: int) -> None:
        self._mean.move(source, target)
        self._highest[target] = self._highest[source]
        self._count[target] = self._count[source]


class TopKMean:
    """Mean of the `value` highest scores so far, or of all while there are fewer."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._k = int(value)
        self._highest = np.full((streams_max, self._k, probes), -np.inf, dtype=np.float32)

    def push(self, scores: Scores) -> Statistics:
        highest = self._highest[: len(scores)]
        lowest = highest.argmin(axis=1)[:, None, :]
        kept = np.maximum(np.take_along_axis(highest, lowest, axis=1), scores[:, None, :])
        np.put_along_axis(highest, lowest, kept, axis=1)
        there = np.isfinite(highest)
        total = np.where(there, highest, 0).sum(axis=1, dtype=np.float64)
        mean: Statistics = (total / there.sum(axis=1)).astype(np.float32)
        return mean

    def reset(self, row: int) -> None:
        self._highest[row] = -np.inf

    def move(self, source: int, target: int) -> None:
        self._highest[target] = self._highest[source]


class Softmax:
    """Mean in which a score weighs `exp(score / value)`: between the mean and the maximum.

    Source: the softmax aggregation of McKenzie et al., "Detecting High-Stakes Interactions
    with Activation Probes" (2025). One running maximum keeps every exponent at most 0.
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._temperature = value
        self._running = RunningSoftmax(streams_max, probes)

    def push(self, scores: Scores) -> Statistics:
        return self._running.push(scores / self._temperature, scores).astype(np.float32)

    def reset(self, row: int) -> None:
        self._running.reset(row)

    def move(self, source: int, target: int) -> None:
        self._running.move(source, target)


class RunningSoftmax:
    """Sum of values weighted by a softmax over all tokens so far, in three numbers each."""

    def __init__(self, streams_max: int, *shape: int) -> None:
        self._highest = np.full((streams_max, *shape), -np.inf)
        self._weights = np.zeros((streams_max, *shape))
        self._total = np.zeros((streams_max, *shape))

    def push(self, logits: NDArray[np.floating], values: NDArray[np.floating]) -> Sums:
        """Take in one token's logit and value, each [streams, ...]; the weighted mean so far."""
        streams = len(logits)
        before, weights = self._highest[:streams], self._weights[:streams]
        total = self._total[:streams]
        highest = np.maximum(before, logits)
        kept, new = np.exp(before - highest), np.exp(logits - highest)
        weights *= kept
        weights += new
        total *= kept
        total += new * values
        before[...] = highest
        mean: Sums = total / weights
        return mean

    def reset(self, row: int) -> None:
        """Forget a stream: what came before the next token will weigh exp(-inf)."""
        self._highest[row] = -np.inf

    def move(self, source: int, target: int) -> None:
        """Let a stream go on in another row."""
        for held in (self._highest, self._weights, self._total):
            held[target] = held[source]


class Agreement:
    """Highest over windows of `value` neighbouring tokens of the lowest score in it.

    A single loud token does not trip it: all of a segment must agree. Until that many
    tokens were read it is the lowest of those there are.
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._window = int(value)
        self._ring = np.full((streams_max, self._window, probes), np.inf, dtype=np.float32)
        self._highest = np.full((streams_max, probes), -np.inf, dtype=np.float32)
        self._count = np.zeros((streams_max, 1), dtype=np.intp)

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        ring, highest = self._ring[:streams], self._highest[:streams]
        count = self._count[:streams]
        ring[np.arange(streams), count[:, 0] % self._window] = scores
        count += 1
        lowest, full = ring.min(axis=1), count >= self._window
        np.maximum(highest, lowest, out=highest, where=full)
        return np.where(full, highest, lowest)

    def reset(self, row: int) -> None:
        self._ring[row], self._highest[row], self._count[row] = np.inf, -np.inf, 0

    def move(self, source: int, target: int) -> None:
        for held in (self._ring, self._highest, self._count):
            held[target] = held[source]
