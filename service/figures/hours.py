"""What reviewing costs: the time from a claim to its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from probing.errors import InvalidSpecification
from probing.estimates import Estimate, UndefinedEstimate, bounded_mean, median
from service.figures.resampling import RESAMPLES, interval, ratio

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedVerdict:
    """One verdict with the claim that it was given under."""

    claimed_at: datetime
    """When the reviewer took the case, with time zone."""
    ruled_at: datetime
    """When the verdict was given, with time zone; not before the claim."""
    lease_seconds: float
    """How long a claim lasts unless it is renewed; above 0."""

    def __post_init__(self) -> None:
        if not self.lease_seconds > 0:
            raise InvalidSpecification("lease", f"{self.lease_seconds:g} s", "more than 0 s")
        if self.ruled_at < self.claimed_at:
            found = f"{self.ruled_at.isoformat()} after a claim at {self.claimed_at.isoformat()}"
            raise InvalidSpecification("time of a verdict", found, "the claim's or a later one")

    @property
    def elapsed_seconds(self) -> float:
        """From claim to verdict."""
        return (self.ruled_at - self.claimed_at).total_seconds()

    @property
    def worked_seconds(self) -> float:
        """The same, one lease at most: who is away for longer is not reading."""
        return min(self.elapsed_seconds, self.lease_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerHours:
    """Time spent on verdicts."""

    median_seconds: Estimate
    """Of one verdict, with its distribution-free interval."""
    total_hours: float
    """Of all verdicts together: a sum and no estimate."""
    hours_per_100_verdicts: Estimate
    """A hundred times the mean, with its bootstrap interval over verdicts."""
    cut: int
    """Verdicts that took longer than a lease and count as one lease."""


def reviewer_hours(
    verdicts: Sequence[TimedVerdict], *, seed: int = 0, resamples: int = RESAMPLES
) -> ReviewerHours:
    """Median, total and hours per hundred verdicts.

    A case that two reviewers ruled on counts twice, once for each verdict.

    Args:
        verdicts: of one reviewer, or of many.
        seed: of the resampling.
        resamples: how many.

    Raises:
        UndefinedEstimate: there are no verdicts.
    """
    if not verdicts:
        raise UndefinedEstimate("reviewer hours", "there are no verdicts", "rule on some cases")
    seconds = np.array([verdict.worked_seconds for verdict in verdicts])
    lease = max(verdict.lease_seconds for verdict in verdicts)
    return ReviewerHours(
        median_seconds=median(seconds),
        total_hours=float(seconds.sum()) / SECONDS_PER_HOUR,
        hours_per_100_verdicts=_per_hundred(seconds, lease, seed=seed, resamples=resamples),
        cut=sum(verdict.elapsed_seconds > verdict.lease_seconds for verdict in verdicts),
    )


def _per_hundred(
    seconds: NDArray[np.float64], lease_seconds: float, *, seed: int, resamples: int
) -> Estimate:
    """In hours. Where all verdicts took as long, the interval is that of a bounded mean."""
    units = np.stack([seconds, np.ones_like(seconds)], axis=1)
    ends = interval(units, ratio, seed=seed, resamples=resamples)
    if ends is None:
        bounded = bounded_mean(seconds / lease_seconds)
        ends = bounded.low * lease_seconds, bounded.high * lease_seconds
    hours = 100 / SECONDS_PER_HOUR
    low, high = (end * hours for end in ends)
    return Estimate(value=float(seconds.mean()) * hours, low=low, high=high, n=len(seconds))
