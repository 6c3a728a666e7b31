"""A figure that is there, or the words for why it is not.

A page that shows nought where nothing was ruled on would be believed, so a figure
without samples is a sentence and never a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from probing.estimates import Estimate, UndefinedEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Undefined:
    """Stands where a figure would, when the samples do not define it."""

    reason: str
    """What is missing and what to do about it."""

    def as_json(self) -> dict[str, str | int | None]:
        """The four fields of an estimate, three of them null, and the reason."""
        return {"value": None, "low": None, "high": None, "n": 0, "undefined": self.reason}

    def __str__(self) -> str:
        return f"undefined: {self.reason}"


Figure = Estimate | Undefined


def figure(estimate: Callable[[], Estimate]) -> Figure:
    """What it returns, or the reason that it refuses with."""
    try:
        return estimate()
    except UndefinedEstimate as refusal:
        return Undefined(reason=str(refusal))
