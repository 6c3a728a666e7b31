"""From statistics to a decision: one pure function, the same live and in reports."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray


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


def tripped(
    peaks: Float[NDArray[np.float32], "streams probes"],
    thresholds: Float[NDArray[np.float32], " probes"],
) -> Bool[NDArray[np.bool_], "streams probes"]:
    """Which probes have stood at or above their threshold.

    Args:
        peaks: highest statistic since enough tokens were read, -inf before.
        thresholds: all finite.
    """
    return peaks >= thresholds


def decide(
    crossed: Bool[NDArray[np.bool_], "streams deciding"], actions: Sequence[Action]
) -> list[Decision]:
    """One decision per stream from its deciding probes and its action.

    Args:
        crossed: whether each champion has tripped so far, shape [streams, deciding].
        actions: what is wanted of each stream, as many as streams.
    """
    hit: list[bool] = np.asarray(crossed.any(axis=1)).tolist()
    return [
        _WHEN_TRIPPED[action] if h else Decision.PASS
        for action, h in zip(actions, hit, strict=True)
    ]
