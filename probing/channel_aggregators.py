"""Aggregators of probes that give several channels per token.

Channels of a probe stand together; `value` of them, or as the class says. What the
methods promise stands in `probing.aggregators.Aggregator`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from probing.score_aggregators import Mean, RunningSoftmax, Scores, Statistics


class TailConcat:
    """Own weights for each position of a tail of `value` tokens, summed.

    Channels of a probe stand together, position 0 the oldest. A position that the
    answer does not have yet adds nothing. `partial[j]` is the sum over the newest
    j + 1 tokens laid on positions 0 to j, so a step costs one shift, not a window.
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._k, self._probes = int(value), probes
        self._partial = np.zeros((streams_max, probes, self._k))

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        partial = scores.reshape(streams, self._probes, self._k).astype(np.float64)
        partial[:, :, 1:] += self._partial[:streams, :, :-1]
        self._partial[:streams] = partial
        whole: Statistics = partial[:, :, -1].astype(np.float32)
        return whole

    def reset(self, row: int) -> None:
        self._partial[row] = 0

    def move(self, source: int, target: int) -> None:
        self._partial[target] = self._partial[source]


class Attention:
    """Attention over all tokens so far, of `value` heads, summed over the heads.

    Channels are the heads' queries and then their values. A stream costs three numbers
    per head, whatever its length. Source: Shabalin and Belrose, "Attention Probes" (2025),
    without their weight of the position; the softmax runs online as in Milakov and
    Gimelshein, "Online normalizer calculation for softmax" (2018).
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._heads, self._probes = int(value), probes
        self._running = RunningSoftmax(streams_max, probes, self._heads)

    def push(self, scores: Scores) -> Statistics:
        queries, values = _halves(scores, self._probes, self._heads)
        total: Statistics = self._running.push(queries, values).sum(axis=2).astype(np.float32)
        return total

    def reset(self, row: int) -> None:
        self._running.reset(row)

    def move(self, source: int, target: int) -> None:
        self._running.move(source, target)


class MultiMax:
    """Each of `value` heads' highest value so far, summed over the heads.

    Source: the MultiMax head of Kramár et al., "Building Production-Ready Probes For
    Gemini" (2026): with hard maxima long harmless text cannot dilute a short bad passage.
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._heads, self._probes = int(value), probes
        self._highest = np.full((streams_max, probes, self._heads), -np.inf, dtype=np.float32)

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        highest = self._highest[:streams]
        np.maximum(highest, scores.reshape(streams, self._probes, self._heads), out=highest)
        total: Statistics = highest.sum(axis=2, dtype=np.float64).astype(np.float32)
        return total

    def reset(self, row: int) -> None:
        self._highest[row] = -np.inf

    def move(self, source: int, target: int) -> None:
        self._highest[target] = self._highest[source]


class RollingAttention:
    """Highest over windows of `value` neighbouring tokens of an attention within the window.

    Two channels: query and value. Until a window is full it is the attention over the
    tokens there are. Source: the rolling-window attention of Kramár et al. (2026).
    """

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._window, self._probes = int(value), probes
        shape = (streams_max, self._window, probes)
        self._queries = np.full(shape, -np.inf, dtype=np.float32)
        self._values = np.zeros(shape, dtype=np.float32)
        self._highest = np.full((streams_max, probes), -np.inf, dtype=np.float32)
        self._count = np.zeros((streams_max, 1), dtype=np.intp)

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        query, value = _halves(scores, self._probes, 1)
        count, highest = self._count[:streams], self._highest[:streams]
        queries, values = self._queries[:streams], self._values[:streams]
        place = (np.arange(streams), count[:, 0] % self._window)
        queries[place], values[place] = query[:, :, 0], value[:, :, 0]
        count += 1
        weights = np.exp(queries - queries.max(axis=1, keepdims=True), dtype=np.float64)
        mean = (weights * values).sum(axis=1) / weights.sum(axis=1)
        full = count >= self._window
        np.maximum(highest, mean, out=highest, where=full, casting="same_kind")
        return np.where(full, highest, mean).astype(np.float32)

    def reset(self, row: int) -> None:
        self._queries[row], self._values[row] = -np.inf, 0
        self._highest[row], self._count[row] = -np.inf, 0

    def move(self, source: int, target: int) -> None:
        for held in (self._queries, self._values, self._highest, self._count):
            held[target] = held[source]


class _ChannelMeans:
    """Mean of every channel over all tokens so far."""

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._channels, self._probes = int(value), probes
        self._mean = Mean(0, streams_max=streams_max, probes=probes * self._channels)

    def means(self, scores: Scores) -> NDArray[np.float32]:
        """Shape [streams, probes, channels]."""
        return self._mean.push(scores).reshape(len(scores), self._probes, self._channels)

    def reset(self, row: int) -> None:
        self._mean.reset(row)

    def move(self, source: int, target: int) -> None:
        self._mean.move(source, target)


class AnyClass(_ChannelMeans):
    """Logit of any of `value` kinds of misbehaviour against none.

    A channel is the margin of one kind over honest; means over the tokens so far enter a
    log-sum-exp, which is that logit in a softmax over the kinds and honest.
    """

    def push(self, scores: Scores) -> Statistics:
        together: Statistics = logsumexp(self.means(scores), axis=2).astype(np.float32)
        return together


class Indicators(_ChannelMeans):
    """The highest of `value` indicators, each the mean of its own probe so far."""

    def push(self, scores: Scores) -> Statistics:
        highest: Statistics = self.means(scores).max(axis=2)
        return highest


def _halves(
    scores: Scores, probes: int, heads: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Queries and values, each [streams, probes, heads]."""
    laid = scores.reshape(len(scores), probes, 2, heads)
    return laid[:, :, 0], laid[:, :, 1]
