"""From statistics to a decision, the same live and in reports."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from probing.compiled import compiled


class Action(StrEnum):
    """What an operator wants done when a probe that decides crosses its threshold."""

    OBSERVE = "observe"
    """Record and count; the text goes on and nothing is queued."""
    FLAG = "flag"
    """Queue for review; the text goes on once the flag is durable."""
    HALT = "halt"
    """Queue for review and end the answer before the crossing token."""

    @staticmethod
    def stricter_of(one: Action, other: Action) -> Action:
        """The stricter of two: a request may ask for more than the operator, never for less."""
        return max(one, other, key=list(Action).index)


class Decision(IntEnum):
    """What the policy says of a stream at a step, in rising order."""

    PASS = 0
    FLAG = 1
    HOLD = 2
    HALT = 3

    @property
    def word(self) -> str:
        """The decision as it is written in receipts and metrics."""
        return self.name.lower()


_WHEN_TRIPPED = {
    Action.OBSERVE: Decision.PASS,
    Action.FLAG: Decision.FLAG,
    Action.HALT: Decision.HALT,
}


@compiled
def follow(
    statistics: Float[NDArray[np.float32], "streams probes"],
    read: Int[NDArray[np.int32], " rows"],
    peaks: Float[NDArray[np.float32], "rows probes"],
    tokens_min: Int[NDArray[np.int32], " probes"],
    thresholds: Float[NDArray[np.float32], " probes"],
    deciding: Int[NDArray[np.intp], " deciding"],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Count a token for each stream, raise its peaks, and see which probes have tripped.

    Args:
        statistics: finite, for the streams in the first rows.
        read: tokens read so far, by row; counted on.
        peaks: highest statistics since `tokens_min` tokens were read, -inf before; raised.
        deciding: indices of the champions.

    Returns:
        Peaks now, [streams, probes]; which have stood at or above their threshold, likewise;
        and in which streams one of those that decide has.
    """
    streams, probes = statistics.shape
    risen = np.empty((streams, probes), np.float32)
    tripped = np.empty((streams, probes), np.bool_)
    crossed = np.zeros(streams, np.bool_)
    for row in range(streams):
        read[row] += 1
        for probe in range(probes):
            enough = read[row] >= tokens_min[probe]
            higher = enough and statistics[row, probe] > peaks[row, probe]
            peaks[row, probe] = statistics[row, probe] if higher else peaks[row, probe]
            risen[row, probe] = peaks[row, probe]
            tripped[row, probe] = peaks[row, probe] >= thresholds[probe]
        for probe in deciding:
            crossed[row] |= tripped[row, probe]
    return risen, tripped, crossed


def decide(crossed: Sequence[bool], actions: Sequence[Action]) -> list[Decision]:
    """One decision per stream from what its deciding probes say and its action.

    Args:
        crossed: whether any champion has tripped so far, by stream.
        actions: what is wanted of each stream, as many as streams.
    """
    return [
        _WHEN_TRIPPED[action] if hit else Decision.PASS
        for action, hit in zip(actions, crossed, strict=True)
    ]
