"""Figures as people read them: never without their interval and their n."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from probing.estimates import Estimate


class Unit(StrEnum):
    """What a figure counts."""

    SHARE = "share"
    """Of 1, shown in per cent."""
    AREA = "area"
    """Of 1, shown as it is."""
    COUNT = "count"
    """Whole things."""
    HOURS = "hours"
    """Of work."""
    PLAIN = "plain"
    """Whatever the figure's name says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A figure in letters."""

    value: str
    """With its unit."""
    low: str
    """The interval's lower end, with its unit."""
    high: str
    """Its upper end."""
    interval: str
    """`96.1 to 99.4%`."""
    n: str
    """Samples behind it."""

    def __str__(self) -> str:
        return f"{self.value} [{self.interval}], n = {self.n}".replace(NO_BREAK, " ")


NO_BREAK = "\u00a0"
"""A space at which no line ends."""
FOUR_DIGITS = 1000
"""From here on a number is shown without decimals, and never as a power of ten."""
SHARE_WORDS = frozenset(
    {
        "recall",
        "alarms",
        "unmonitored",
        "caught",
        "fpr",
        "precision",
        "share",
        "missed",
        "changed",
        "repeated",
        "solved",
        "rate",
        "same",
        "before",
        "achieved",
        "below",
        "between",
        "above",
        "observed",
        "halted",
        "predicted",
    }
)
"""Words in a figure's name that make it a share."""
SHARE_NAMES = frozenset({"low", "high", "fitted_on", "judged_on"})
"""Names that are a share by themselves and not as a word of another: the edges of a bin of
probabilities, and how much of the answers misbehaves."""
AREA_WORDS = frozenset({"auroc", "auc", "pauc", "area"})
"""Words in a figure's name that make it an area."""


def shown(figure: Estimate, unit: Unit) -> Shown:
    """A figure in letters, in its unit."""
    if unit is Unit.SHARE:
        near_an_end = 0 < min(figure.value, 1 - figure.value) < 0.01
        value, low, high = (
            f"{end:.2%}" if near_an_end else f"{end:.1%}"
            for end in (figure.value, figure.low, figure.high)
        )
    else:
        value, low, high = (number(end, unit) for end in (figure.value, figure.low, figure.high))
    return Shown(
        value=value,
        low=low,
        high=high,
        interval=f"{low.removesuffix('%')} to {high}".replace(" ", NO_BREAK),
        n=f"{figure.n:,}",
    )


def number(value: float, unit: Unit) -> str:
    """A number that is no estimate, such as a limit, in its unit."""
    if unit is Unit.SHARE:
        return f"{100 * value:.4g}%"
    if unit is Unit.AREA:
        return f"{value:.3f}"
    if unit is Unit.COUNT:
        return f"{value:,.0f}"
    if unit is Unit.HOURS:
        return f"{value:,.1f}"
    whole = value == round(value) or abs(value) >= FOUR_DIGITS
    return f"{value:,.0f}" if whole else f"{value:.4g}"


def unit_of(name: str) -> Unit:
    """The unit that a figure's name in the file gives away."""
    words = set(name.lower().replace(":", " ").replace("_", " ").split())
    if words & AREA_WORDS:
        return Unit.AREA
    share = words & SHARE_WORDS or name.rpartition(": ")[2] in SHARE_NAMES
    return Unit.SHARE if share else Unit.PLAIN


def scaled(figure: Estimate | None, factor: float) -> Estimate | None:
    """A share as a number of cases or hours."""
    if figure is None:
        return None
    return Estimate(
        value=figure.value * factor,
        low=figure.low * factor,
        high=figure.high * factor,
        n=figure.n,
    )
