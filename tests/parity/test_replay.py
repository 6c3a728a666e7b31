"""Recorded scores, replayed, decide what was decided live, whatever folds them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from probing.aggregators import _KINDS, AggregatorSpec
from probing.monitor import Monitor, replay
from probing.policy import Action, Decision
from probing.probe import Probe, ProbeSet
from tests.probing.examples import probe

WRITTEN = (
    "mean",
    "max",
    "last",
    "ema:0.2",
    "rolling_max:4",
    "topk_mean:3",
    "tail_mean:3",
    "tail_concat:4",
    "softmax:0.5",
    "agreement:2",
    "attention:3",
    "multimax:2",
    "rolling_attention:4",
    "any_class:3",
    "indicators:2",
)
every_kind = pytest.mark.parametrize("written", WRITTEN)
SEEDS = 12


@dataclass(frozen=True)
class Live:
    """One stream as it was served: what was recorded of it and what was said."""

    scores: NDArray[np.float32]
    begins: int
    statistics: list[float] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


def serve(one: Probe, seed: int) -> list[Live]:
    """Five streams, three at a time: they join and leave, and rows are taken over."""
    rng = np.random.default_rng(seed)
    lengths, begins = rng.integers(1, 25, size=5), (0, 2, 5, 30, 31)
    shapes = [(int(length), one.aggregator.channels) for length in lengths]
    streams = [
        Live(rng.normal(size=shape).astype(np.float32), begin)
        for shape, begin in zip(shapes, begins, strict=True)
    ]
    monitor = Monitor(ProbeSet((one,)), streams_max=3)
    rows: list[Live] = []
    for step in range(60):
        for stream in (stream for stream in streams if stream.begins == step):
            monitor.open(Action.HALT)
            rows.append(stream)
        if rows:
            said = monitor.push(np.stack([s.scores[len(s.peaks)] for s in rows]))
        for row, stream in enumerate(rows):
            stream.statistics.append(said.statistics[row, 0])
            stream.peaks.append(said.peaks[row, 0])
            stream.decisions.append(said.decisions[row])
        for row in reversed(range(len(rows))):
            if len(rows[row].peaks) == len(rows[row].scores):
                monitor.close(row)
                rows[row] = rows[-1]
                rows.pop()
    return streams


def probe_with(written: str, *, tokens_min: int) -> Probe:
    return probe(aggregator=written, threshold=0.7, tokens_min=tokens_min)


def test_every_kind_of_aggregator_is_replayed_here() -> None:
    assert {AggregatorSpec.parse(written).kind for written in WRITTEN} == set(_KINDS)


@every_kind
@pytest.mark.parametrize("tokens_min", [1, 6])
def test_a_replay_decides_what_was_decided_live(written: str, tokens_min: int) -> None:
    """Thresholds and reports stand on replays; else they would describe another service."""
    one = probe_with(written, tokens_min=tokens_min)
    ends = set()
    for stream in [stream for seed in range(SEEDS) for stream in serve(one, seed)]:
        halts = [i for i, said in enumerate(stream.decisions) if said is Decision.HALT]

        again = replay(one, stream.scores)

        assert again.tripped_at == (halts[0] if halts else None)
        assert (again.peak >= np.float32(one.threshold)) == bool(halts)
        assert again.peak == stream.peaks[-1]
        ends.add(bool(halts))
    assert ends == {True, False}, "some streams halt and some do not, or nothing was shown"


@every_kind
def test_a_replay_gives_the_statistics_of_the_live_stream_to_the_bit(written: str) -> None:
    """Streams share a step; none may leak into another or into who takes its row next."""
    one = probe_with(written, tokens_min=1)

    for stream in serve(one, seed=1):
        assert replay(one, stream.scores).statistics.tolist() == stream.statistics
