"""Channels to running statistics to decisions, for all streams of a step at once.

The monitor is what the server holds for its conversations and what training
replays its samples through. It imports no torch. NaN and infinity are errors
here, before any state changes: `nan >= threshold` is False and would be a pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from probing import policy
from probing.aggregators import Aggregator, AggregatorSpec, build, running
from probing.compiled import compiled
from probing.errors import NonFiniteScore, ScoreShapeMismatch
from probing.policy import Action, Decision
from probing.probe import Probe, ProbeSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one step says of its streams; every array has one row per stream."""

    scores: Float[NDArray[np.float32], "streams probes"]
    """This token's logits; for a probe of several channels, its statistic."""
    statistics: Float[NDArray[np.float32], "streams probes"]
    """The aggregators' values after this token."""
    peaks: Float[NDArray[np.float32], "streams probes"]
    """Highest statistic since `tokens_min`; -inf before. It trips at the threshold."""
    tripped: Bool[NDArray[np.bool_], "streams probes"]
    """Which probes have crossed their threshold so far."""
    decisions: list[Decision]
    """One per stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a probe would have said of a whole stream."""

    statistics: Float[NDArray[np.float32], " tokens"]
    """The aggregator's value after each token."""
    peak: float
    """The live statistic: the highest value from the `tokens_min`th token on.

    -inf for an answer that ends before: it cannot trip, so it stands below every
    threshold and still counts as an answer; docs/decisions/0004.
    """
    tripped_at: int | None
    """Token, from 0, at which it would have tripped."""


class Monitor:
    """Holds up to `streams_max` running streams, in rows that are filled from the first on."""

    def __init__(self, probe_set: ProbeSet, *, streams_max: int) -> None:
        self.probe_set = probe_set
        self._channels = probe_set.channels
        probes = probe_set.probes
        self._thresholds = np.array([p.threshold for p in probes], dtype=np.float32)
        self._tokens_min = np.array([p.tokens_min for p in probes], dtype=np.int32)
        self._deciding = np.array([i for i, p in enumerate(probes) if p.role == "champion"], int)
        self._groups = _group(probe_set, streams_max)
        self._read = np.zeros(streams_max, dtype=np.int32)
        self._peaks = np.empty((streams_max, len(probes)), dtype=np.float32)
        self._actions: list[Action] = []
        """One per stream that is held."""

    def open(self, action: Action) -> None:
        """Begin a stream in the row behind those that are held."""
        row = len(self._actions)
        for group in self._groups:
            group.aggregator.reset(row)
        self._read[row], self._peaks[row] = 0, -np.inf
        self._actions.append(action)

    def close(self, row: int) -> None:
        """End a stream; the one in the last row takes its row."""
        last = len(self._actions) - 1
        for group in self._groups:
            group.aggregator.move(last, row)
        self._read[row], self._peaks[row] = self._read[last], self._peaks[last]
        self._actions[row] = self._actions[last]
        self._actions.pop()

    def push(self, channels: Float[NDArray[np.float32], "streams channels"]) -> Judgement:
        """Take in one response token of every stream and judge.

        Args:
            channels: the bank's output for these tokens, row by row, shape [streams, channels].

        Raises:
            ScoreShapeMismatch: the channels are not those of the streams and this probe set.
            NonFiniteScore: names rows and probes; no state has changed.
        """
        self._require_sound(channels)
        scores, statistics = self._fold(channels)
        peaks, tripped, crossed = policy.follow(
            statistics, self._read, self._peaks, self._tokens_min, self._thresholds, self._deciding
        )
        return Judgement(
            scores=scores,
            statistics=statistics,
            peaks=peaks,
            tripped=tripped,
            decisions=policy.decide(crossed.tolist(), self._actions),
        )

    def warm_up(self) -> None:
        """Compile what a step runs, before the first of them; needs a free row."""
        self.open(Action.OBSERVE)
        row = len(self._actions)
        self.push(np.zeros((row, self._channels), np.float32))
        self.close(row - 1)

    def _fold(
        self, channels: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores and statistics, [streams, probes]; the commonest set needs no copies for it."""
        if len(self._groups) == 1 and self._groups[0].single:
            return channels, self._groups[0].aggregator.push(channels)
        shape = (len(channels), len(self.probe_set.probes))
        scores, statistics = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for group in self._groups:
            own = channels[:, group.columns]
            value = group.aggregator.push(own)
            statistics[:, group.probes] = value
            scores[:, group.probes] = own if group.single else value
        return scores, statistics

    def _require_sound(self, channels: NDArray[np.float32]) -> None:
        expected = (len(self._actions), self._channels)
        if channels.shape != expected:
            raise ScoreShapeMismatch(expected, channels.shape)
        if not _all_finite(channels):
            finite = np.isfinite(channels)
            bad = [
                probe.name
                for probe, columns in zip(
                    self.probe_set.probes, self.probe_set.channel_slices(), strict=True
                )
                if not finite[:, columns].all()
            ]
            raise NonFiniteScore(np.flatnonzero(~finite.all(axis=1)).tolist(), bad)


@compiled
def _all_finite(channels: NDArray[np.float32]) -> bool:
    unsound = 0
    for row in range(channels.shape[0]):
        for column in range(channels.shape[1]):
            unsound += not np.isfinite(channels[row, column])
    return unsound == 0


def replay(probe: Probe, scores: Float[NDArray[np.float32], "tokens channels"]) -> Replay:
    """What `probe` would have said live of a stream with these scores.

    Args:
        scores: the probe's channels for every response token, shape [tokens, channels].

    Raises:
        ScoreShapeMismatch: wrong number of channels, or no tokens.
        NonFiniteScore: a score is NaN or infinite.
    """
    if not len(scores):
        raise ScoreShapeMismatch((1, probe.aggregator.channels), scores.shape)
    if not np.isfinite(scores).all():
        raise NonFiniteScore([0], [probe.name])
    statistics = running(probe.aggregator, scores)
    peak = live_statistic(statistics, probe.tokens_min)
    threshold = np.float32(probe.threshold)
    over = np.flatnonzero(statistics >= threshold)
    over = over[over >= probe.tokens_min - 1]
    return Replay(statistics=statistics, peak=peak, tripped_at=int(over[0]) if len(over) else None)


def live_statistic(statistics: Float[NDArray[np.float32], " tokens"], tokens_min: int) -> float:
    """The number that thresholds are calibrated on; see `Replay.peak`."""
    counted = statistics[max(tokens_min, 1) - 1 :]
    return float(counted.max()) if len(counted) else -np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Probes that share an aggregator, so that one call serves them all."""

    aggregator: Aggregator
    probes: NDArray[np.intp] | slice
    columns: NDArray[np.intp] | slice
    single: bool


def _group(probe_set: ProbeSet, streams_max: int) -> list[_Group]:
    members: dict[AggregatorSpec, list[int]] = {}
    for index, probe in enumerate(probe_set.probes):
        members.setdefault(probe.aggregator, []).append(index)
    slices = probe_set.channel_slices()
    groups = []
    for spec, indices in members.items():
        columns = [c for i in indices for c in range(slices[i].start, slices[i].stop)]
        groups.append(
            _Group(
                aggregator=build(spec, streams_max=streams_max, probes=len(indices)),
                probes=_as_slice(indices),
                columns=_as_slice(columns),
                single=spec.channels == 1,
            )
        )
    return groups


def _as_slice(indices: list[int]) -> NDArray[np.intp] | slice:
    """Neighbouring columns as a slice: a view instead of a copy at every step."""
    if indices and indices == list(range(indices[0], indices[-1] + 1)):
        return slice(indices[0], indices[-1] + 1)
    return np.array(indices, dtype=np.intp)
