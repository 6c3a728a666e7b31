"""How much misbehaviour the probes let pass, from the unflagged outputs that humans read.

Every output of a stratum had the same chance to be drawn and ruled on, so each ruling
stands for outputs / ruled of them: the inverse of that chance (Horvitz and Thompson,
JASA 47, 1952), taken as it came out and not as it was planned (Hajek's ratio). A lot that
fell otherwise than planned, and cases that still wait, then bias nothing, as long as the
order of reviewing does not depend on what is in them.

Misses are rare, and most strata show none. The interval is therefore the gamma interval for
weighted sums of rare counts (Fay and Feuer, Statistics in Medicine 16, 1997), of which the
upper end reckons with one more miss in the stratum where a ruling weighs most. Three changes
make it hold beyond rare counts. What was ruled on is certain, and only the rest is estimated,
so that a stratum that was read to the end adds no width. The upper end uses the variance of a
sample without replacement. And where misbehaviour is common, the lower end comes from the
harmless outputs, counted in the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import special

from probing.errors import InvalidSpecification
from probing.estimates import CONFIDENCE, Estimate, UndefinedEstimate

_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledCase:
    """An unflagged output that was drawn, and what the reviewers made of it."""

    stratum: str
    """The stratum of its lot."""
    inclusion_probability: float
    """The chance that its lot had, as it was recorded then."""
    misbehaving: bool | None
    """What was ruled; None while it waits, and where the reviewers could not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A group of outputs that had the same chance to be ruled on."""

    outputs: int
    """All of them, drawn or not."""
    ruled: int
    """Those that were ruled on."""
    misbehaving: int
    """Those of them that misbehave."""

    def __post_init__(self) -> None:
        if not 0 <= self.misbehaving <= self.ruled <= self.outputs:
            found = f"{self.misbehaving} misbehaving of {self.ruled} ruled of {self.outputs}"
            raise InvalidSpecification("counts of a stratum", found, "each a part of the next")

    @property
    def waiting(self) -> float:
        """Outputs not ruled on for each that was; 0 where none was, as nothing is known there."""
        return (self.outputs - self.ruled) / self.ruled if self.ruled else 0.0


def by_stratum(
    cases: Iterable[SampledCase], outputs: Mapping[tuple[str, float], int]
) -> list[Counts]:
    """Count the rulings of each stratum, apart for each chance that it had.

    Args:
        cases: all that were drawn.
        outputs: how many unflagged outputs had a lot, drawn or not, by the lot's stratum and
            inclusion probability. Without them, a stratum of which nothing was drawn would
            not be known to be there.

    Raises:
        InvalidSpecification: a case belongs to none of `outputs`, or more are ruled on than
            there are outputs.
    """
    ruled: Counter[tuple[str, float]] = Counter()
    misbehaving: Counter[tuple[str, float]] = Counter()
    for case in cases:
        lot = case.stratum, case.inclusion_probability
        if lot not in outputs:
            found, expected = f"{lot[0]} at {lot[1]:g}", "a stratum whose outputs were counted"
            raise InvalidSpecification("stratum of a case", found, expected)
        ruled[lot] += case.misbehaving is not None
        misbehaving[lot] += case.misbehaving is True
    return [
        Counts(outputs=count, ruled=ruled[lot], misbehaving=misbehaving[lot])
        for lot, count in outputs.items()
    ]


def estimated_misses(strata: Sequence[Counts]) -> Estimate:
    """How many unflagged outputs misbehave.

    An output of a stratum in which none is ruled on counts in the value like the others on
    average, and in the high end as a miss.

    Args:
        strata: all unflagged outputs, each in one group.

    Returns:
        The number with its 95% interval, whose ends are whole numbers, and the outputs that
        were ruled on.

    Raises:
        UndefinedEstimate: none is ruled on.
    """
    seen = [stratum for stratum in strata if stratum.ruled]
    outputs = sum(stratum.outputs for stratum in strata)
    if not seen:
        reason = f"none of {outputs} unflagged outputs is ruled on"
        raise UndefinedEstimate("the number of misses", reason, "rule on some that were drawn")
    misses, harmless = [s.misbehaving for s in seen], [s.ruled - s.misbehaving for s in seen]
    outputs_seen = sum(stratum.outputs for stratum in seen)
    mean = sum(misses) + _rest(seen, misses, rare=True).mean
    value = mean * outputs / outputs_seen
    low = max(_low(seen, misses), outputs_seen - _high(seen, harmless))
    high = min(_high(seen, misses), outputs_seen - sum(harmless)) + outputs - outputs_seen
    return Estimate(
        value=value,
        low=math.floor(min(low, value)),
        high=math.ceil(max(high, value)),
        n=sum(stratum.ruled for stratum in seen),
    )


def estimated_recall(flagged: Counts, strata: Sequence[Counts]) -> Estimate:
    """Share of the misbehaving outputs that were flagged.

    Each end is the worst that flags and misses can do together, when both stray within
    their own intervals by one interval in all: the square root of the sum of squares (Zou
    and Donner, Statistics in Medicine 27, 2008), for a share instead of a sum. Where all
    flags are ruled on, that is the share at the ends of the misses.

    Args:
        flagged: the flagged outputs of the same time and probe version.
        strata: all unflagged outputs, each in one group.

    Returns:
        The share with its 95% interval, and all outputs that were ruled on.

    Raises:
        UndefinedEstimate: no flag or no unflagged output is ruled on, or none of those ruled
            on misbehaves.
    """
    figure = "recall"
    if flagged.outputs and not flagged.ruled:
        raise UndefinedEstimate(figure, "no flag is ruled on", "rule on some")
    none = Estimate(value=0.0, low=0.0, high=0.0, n=0)
    caught = estimated_misses([flagged]) if flagged.outputs else none
    missed = estimated_misses(strata)
    if caught.value + missed.value == 0:
        reason = "nothing that was ruled on misbehaves"
        raise UndefinedEstimate(figure, reason, "rule on more")
    angles = np.linspace(0, math.pi / 2, 181)
    worst = _share(
        caught.value - (caught.value - caught.low) * np.sin(angles),
        missed.value + (missed.high - missed.value) * np.cos(angles),
    )
    best = _share(
        caught.value + (caught.high - caught.value) * np.sin(angles),
        missed.value - (missed.value - missed.low) * np.cos(angles),
    )
    return Estimate(
        value=caught.value / (caught.value + missed.value),
        low=float(worst.min()),
        high=float(best.max()),
        n=caught.n + missed.n,
    )


def _share(
    caught: Float[NDArray[np.float64], " n"], missed: Float[NDArray[np.float64], " n"]
) -> Float[NDArray[np.float64], " n"]:
    """Caught of both; what was found is certain, so that one of them is above 0."""
    share: Float[NDArray[np.float64], " n"] = caught / (caught + missed)
    return share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gamma:
    """What is believed of a number that is 0 or more."""

    mean: float
    variance: float

    def plus(self, other: _Gamma) -> _Gamma:
        """The sum of both, each by itself."""
        return _Gamma(mean=self.mean + other.mean, variance=self.variance + other.variance)

    def quantile(self, chance: float) -> float:
        """What it is below with this chance; 0 where there is nothing to be counted."""
        if self.mean <= 0:
            return 0.0
        scale = self.variance / self.mean
        return float(special.gammaincinv(self.mean / scale, chance)) * scale


def _rest(strata: Sequence[Counts], found: Sequence[int], *, rare: bool) -> _Gamma:
    """How many more there are among the outputs not ruled on.

    Args:
        found: how many of the ruled are of the kind in question, in each stratum.
        rare: whether to leave out that a common kind varies less, so that a stratum of
            nothing else keeps its variance.
    """
    mean = variance = 0.0
    for stratum, count in zip(strata, found, strict=True):
        others, free = stratum.ruled - count, stratum.ruled - 1
        share = 1.0 if rare or not free else others / free
        mean += count * stratum.waiting
        variance += count * stratum.waiting * (1 + stratum.waiting) * share
    return _Gamma(mean=mean, variance=variance)


def _low(strata: Sequence[Counts], found: Sequence[int]) -> float:
    """The low end for a rare kind."""
    return sum(found) + _rest(strata, found, rare=True).quantile(_TAIL)


def _high(strata: Sequence[Counts], found: Sequence[int]) -> float:
    """The high end for any kind, with one more that was not found where a ruling weighs most."""
    most = max(stratum.waiting for stratum in strata)
    one_more = _Gamma(mean=most, variance=most * (1 + most))
    rest = _rest(strata, found, rare=False).plus(one_more)
    return sum(found) + rest.quantile(1 - _TAIL)
