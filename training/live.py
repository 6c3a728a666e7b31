"""The statistic that trips live, for a whole data set at once.

The same streaming aggregators as in service, with every example as a stream: one
push a step for all of them, so that a sweep costs milliseconds. A test holds the
result equal to `probing.monitor.replay`, example by example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from probing.aggregators import AggregatorSpec, build
from probing.probe import Probe
from training.collect import Collected
from training.score import answer_lengths, answer_scores

Scores = Float[NDArray[np.float32], "tokens channels"]
Peaks = Float[NDArray[np.float32], "examples probes"]


@dataclass(frozen=True, slots=True)
class LiveStatistics:
    """What some probes would have said of every example."""

    peaks: Peaks
    """Highest statistic from the `tokens_min`th token on: what a threshold is compared with.

    -inf where an answer ends before.
    """
    finals: Peaks
    """The statistic after the last token."""


def live_statistics(
    aggregator: AggregatorSpec,
    scores: Scores,
    lengths: Int[NDArray[np.int64], " examples"],
    *,
    tokens_min: Sequence[int],
) -> list[LiveStatistics]:
    """Run an aggregator over every example and keep what a threshold is compared with.

    Args:
        scores: logits of the answers' tokens, example after example; the channels of one
            probe after the other, shape [tokens, probes * aggregator.channels].
        lengths: tokens of each example, all at least 1; they add up to the rows of `scores`.
        tokens_min: one run serves them all; the peak of an answer that ends before is -inf.

    Returns:
        One for each of `tokens_min`, with a column per probe.
    """
    examples, probes = len(lengths), scores.shape[1] // aggregator.channels
    running = build(aggregator, streams_max=examples, probes=probes)
    starts = np.cumsum(lengths) - lengths
    by_length = np.argsort(-lengths, kind="stable")
    peaks = [np.full((examples, probes), -np.inf, dtype=np.float32) for _ in tokens_min]
    finals = np.empty((examples, probes), dtype=np.float32)
    for step in range(int(lengths.max())):
        rows = by_length[: int((lengths > step).sum())]
        finals[rows] = running.push(scores[starts[rows] + step])
        for least, highest in zip(tokens_min, peaks, strict=True):
            if step + 1 >= least:
                highest[rows] = np.maximum(highest[rows], finals[rows])
    return [LiveStatistics(highest, finals) for highest in peaks]


def peaks_of_many(collected: Collected, probes: Sequence[Probe]) -> Peaks:
    """What every answer would have reached live under each of some probes of one recipe.

    Args:
        probes: alike in aggregator and `tokens_min`.

    Returns:
        -inf where an answer ends before it may trip, shape [examples, probes].
    """
    first = probes[0]
    (live,) = live_statistics(
        first.aggregator,
        answer_scores(collected, probes),
        answer_lengths(collected),
        tokens_min=[first.tokens_min],
    )
    return live.peaks
