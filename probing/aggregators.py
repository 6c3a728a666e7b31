"""Fold the scores of a stream into one running statistic, token by token.

Each aggregator exists once, in streaming form; the batch form is the streaming
form run to the end, so what a threshold was calibrated on is what trips live.
One call a step serves all streams and a group of probes, because scalar objects would
cost more than the probes themselves.

Padding can never enter: only scores of tokens that were read are pushed.
Adding an aggregator means one class beside this module and one line in `_KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing import channel_aggregators as channels
from probing import score_aggregators as scores
from probing.errors import InvalidSpecification, ScoreShapeMismatch
from probing.score_aggregators import Scores, Statistics

_WEIGHT = re.compile(r"0?\.[0-9]+|1(\.0*)?")
_POSITIVE = re.compile(r"[0-9]{1,6}(\.[0-9]+)?")
_COUNT = re.compile(r"[1-9][0-9]{0,6}")
"""Up to 9,999,999: no answer is longer, and a double holds it exactly."""


@dataclass(frozen=True, slots=True)
class AggregatorSpec:
    """An aggregator and its one parameter, as written in a manifest: `ema:0.1`."""

    kind: str
    """Name in the table below."""
    value: float = 0.0
    """Weight, temperature, window, k, tail length or heads; 0 where the kind has none."""

    @classmethod
    def parse(cls, text: str) -> AggregatorSpec:
        """Read a name from the table below, with its value where it takes one: `ema:0.1`.

        Raises:
            InvalidSpecification: an unknown kind, or a parameter outside its range.
        """
        kind, colon, written = text.partition(":")
        known = _KINDS.get(kind)
        if known is None or (known.form is not None) != bool(colon):
            raise InvalidSpecification("aggregator", text, EXPECTED)
        if known.form is None:
            return cls(kind)
        value = float(written) if known.form.fullmatch(written) else 0.0
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
        """Numbers that a probe gives per token."""
        return _KINDS[self.kind].channels(int(self.value))


class Aggregator(Protocol):
    """Folds the scores of one step after another into running statistics."""

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


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an aggregator is named, written and made."""

    make: Callable[..., Aggregator]
    """From its value, `streams_max` and `probes`."""
    form: re.Pattern[str] | None = None
    """How its value is written; None where it has none."""
    channels: Callable[[int], int] = lambda value: 1
    """Numbers that a probe gives per token, from the value."""


def _as_many(value: int) -> int:
    return value


_KINDS = {
    "mean": _Kind(scores.Mean),
    "max": _Kind(scores.Max),
    "last": _Kind(scores.Last),
    "ema": _Kind(scores.Ema, _WEIGHT),
    "softmax": _Kind(scores.Softmax, _POSITIVE),
    "rolling_max": _Kind(scores.RollingMax, _COUNT),
    "topk_mean": _Kind(scores.TopKMean, _COUNT),
    "tail_mean": _Kind(scores.TailMean, _COUNT),
    "agreement": _Kind(scores.Agreement, _COUNT),
    "tail_concat": _Kind(channels.TailConcat, _COUNT, _as_many),
    "attention": _Kind(channels.Attention, _COUNT, lambda heads: 2 * heads),
    "multimax": _Kind(channels.MultiMax, _COUNT, _as_many),
    "rolling_attention": _Kind(channels.RollingAttention, _COUNT, lambda window: 2),
    "any_class": _Kind(channels.AnyClass, _COUNT, _as_many),
    "indicators": _Kind(channels.Indicators, _COUNT, _as_many),
}
_FORMS = {
    None: "{}",
    _WEIGHT: "{} with :WEIGHT in (0, 1]",
    _POSITIVE: "{} with :TEMPERATURE above 0",
    _COUNT: "{} with :COUNT from 1 to 9999999",
}


def _expected() -> str:
    """Every kind, grouped by how its value is written."""
    parts = []
    for form, words in _FORMS.items():
        names = [name for name, kind in _KINDS.items() if kind.form is form]
        parts.append(words.format(", ".join(names)))
    return "; ".join(parts)


EXPECTED = _expected()


def build(spec: AggregatorSpec, *, streams_max: int, probes: int) -> Aggregator:
    """An aggregator with room for `streams_max` streams and a group of `probes` probes."""
    return _KINDS[spec.kind].make(spec.value, streams_max=streams_max, probes=probes)


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
