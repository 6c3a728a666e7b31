"""Fold the scores of a stream into one running statistic, token by token.

Each aggregator exists once, in streaming form; the batch form is the streaming
form run to the end, so what a threshold was calibrated on is what trips live.
State is held for `streams_max` streams and a group of probes at once, in numpy:
one call a step for all streams, because scalar objects would cost more than the
probes themselves. The streams that are pushed stand in the first rows, so that their
state is a view: gathering and scattering it cost more than the arithmetic.

Padding can never enter: only scores of tokens that were read are pushed.
Adding an aggregator means one class and one line in `_KINDS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.errors import InvalidSpecification, ScoreShapeMismatch

Scores = Float[NDArray[np.float32], "streams channels"]
Statistics = Float[NDArray[np.float32], "streams probes"]

_WEIGHT = re.compile(r"0?\.[0-9]+|1(\.0*)?")
_COUNT = re.compile(r"[1-9][0-9]{0,6}")
"""Up to 9,999,999: no answer is longer, and a double holds it exactly."""


@dataclass(frozen=True, slots=True)
class AggregatorSpec:
    """An aggregator and its one parameter, as written in a manifest: `ema:0.1`."""

    kind: str
    """Name in the table below."""
    value: float = 0.0
    """EMA weight, window, k or tail length; 0 where the kind has no parameter."""

    @classmethod
    def parse(cls, text: str) -> AggregatorSpec:
        """Read `mean`, `max`, `last`, `ema:W`, `rolling_max:N`, `topk_mean:K`, `tail_mean:K`
        or `tail_concat:K`.

        Raises:
            InvalidSpecification: an unknown kind, or a parameter outside its range.
        """
        kind, colon, written = text.partition(":")
        known = _KINDS.get(kind)
        if known is None or known.takes_value != bool(colon):
            raise InvalidSpecification("aggregator", text, EXPECTED)
        if not known.takes_value:
            return cls(kind)
        form = _WEIGHT if kind == "ema" else _COUNT
        value = float(written) if form.fullmatch(written) else 0.0
        if not value:
            raise InvalidSpecification("aggregator", text, EXPECTED)
        return cls(kind, value)

    def __str__(self) -> str:
        """What `parse` reads, digit by digit: a manifest must not hold another aggregator."""
        if not self.value:
            return self.kind
        exact = np.format_float_positional(self.value, trim="-")
        return f"{self.kind}:{exact}"

    @property
    def channels(self) -> int:
        """Numbers that a probe gives per token: one, or one per position of its tail."""
        return int(self.value) if self.kind == "tail_concat" else 1


class Aggregator(Protocol):
    """Folds the scores of one step after another into running statistics."""

    takes_value: bool

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None: ...

    def push(self, scores: Scores) -> Statistics:
        """Take in the next token's logits and return the statistics so far.

        Args:
            scores: one finite logit per stream and channel, shape [streams, channels], for
                the streams in the first rows; those behind them stay as they are.
        """
        ...

    def reset(self, row: int) -> None:
        """Forget the stream in this row, so that another can take it."""
        ...

    def move(self, source: int, target: int) -> None:
        """Let the stream in row `source` go on in row `target`."""
        ...


class Mean:
    """Mean over all tokens so far."""

    takes_value = False

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._total = np.zeros((streams_max, probes))
        self._count = np.zeros((streams_max, 1))

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        total, count = self._total[:streams], self._count[:streams]
        total += scores
        count += 1
        return (total / count).astype(np.float32)

    def reset(self, row: int) -> None:
        self._total[row] = 0
        self._count[row] = 0

    def move(self, source: int, target: int) -> None:
        self._total[target] = self._total[source]
        self._count[target] = self._count[source]


class Max:
    """Highest score so far."""

    takes_value = False

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

    takes_value = False

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

    takes_value = True

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

    takes_value = True

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

    takes_value = True

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

    takes_value = True

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


class TailConcat:
    """Own weights for each position of a tail of `value` tokens, summed.

    Channels of a probe stand together, position 0 the oldest. A position that the
    answer does not have yet adds nothing. `partial[j]` is the sum over the newest
    j + 1 tokens laid on positions 0 to j, so a step costs one shift, not a window.
    """

    takes_value = True

    def __init__(self, value: float, *, streams_max: int, probes: int) -> None:
        self._k, self._probes = int(value), probes
        self._partial = np.zeros((streams_max, probes, self._k))

    def push(self, scores: Scores) -> Statistics:
        streams = len(scores)
        partial = scores.reshape(streams, self._probes, self._k).astype(np.float64)
        partial[:, :, 1:] += self._partial[:streams, :, :-1]
        self._partial[:streams] = partial
        return partial[:, :, -1].astype(np.float32)

    def reset(self, row: int) -> None:
        self._partial[row] = 0

    def move(self, source: int, target: int) -> None:
        self._partial[target] = self._partial[source]


_KINDS: dict[str, type[Aggregator]] = {
    "mean": Mean,
    "max": Max,
    "last": Last,
    "ema": Ema,
    "rolling_max": RollingMax,
    "topk_mean": TopKMean,
    "tail_mean": TailMean,
    "tail_concat": TailConcat,
}
EXPECTED = "mean, max, last, ema:WEIGHT in (0, 1], or rolling_max, topk_mean, tail_mean, " + (
    "tail_concat with :COUNT from 1 to 9999999"
)


def build(spec: AggregatorSpec, *, streams_max: int, probes: int) -> Aggregator:
    """An aggregator with room for `streams_max` streams and a group of `probes` probes."""
    return _KINDS[spec.kind](spec.value, streams_max=streams_max, probes=probes)


def running(
    spec: AggregatorSpec, scores: Float[NDArray[np.float32], "tokens channels"]
) -> Float[NDArray[np.float32], " tokens"]:
    """The statistic of one probe after each token of one stream: the streaming form run to the end.

    Args:
        scores: that probe's logits, shape [tokens, channels].

    Raises:
        ScoreShapeMismatch: the aggregator takes another number of channels.
    """
    if scores.ndim != 2 or scores.shape[1] != spec.channels:
        raise ScoreShapeMismatch((scores.shape[0], spec.channels), scores.shape)
    aggregator = build(spec, streams_max=1, probes=1)
    steps = [aggregator.push(step[None, :])[0, 0] for step in scores]
    return np.array(steps, dtype=np.float32)
