"""Bootstrap intervals over units that hold several answers each.

Two answers about one case are more alike than answers about two cases, so it is cases
that are drawn anew and not answers. A figure is worked out from sums over units; a
resample is how often each distinct row of summands was drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import special

from probing.estimates import CONFIDENCE, Estimate, UndefinedEstimate

RESAMPLES = 2000
_NUMBERS_MAX = 2_000_000
"""Held at once while resampling."""
_SAME = 1e-12
"""Figures that differ by less differ by rounding."""

Summands = Float[NDArray[np.float64], "units summands"]
Sums = Float[NDArray[np.float64], "*resamples summands"]
Values = Float[NDArray[np.float64], "*resamples"]
Statistic = Callable[[Sums], Values]
"""The figure from the sums over all units."""


def interval(
    units: Summands, statistic: Statistic, *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """The BCa interval of a figure (Efron, JASA 82, 1987).

    Args:
        units: what each unit adds to the sums, shape [units, summands].
        statistic: from sums to the figure.
        seed: of the resampling.
        resamples: how many.

    Returns:
        Both ends, with the figure between them; None where all resamples agree, which says
        nothing of the spread.
    """
    rows, counts = np.unique(units, axis=0, return_counts=True)
    value = float(statistic(units.sum(axis=0)))
    again = _resampled(rows, counts, statistic, seed=seed, resamples=resamples)
    if np.ptp(again) < _SAME:
        return None
    below = float(np.mean(again < value) + np.mean(again == value) / 2)
    bias = special.ndtri(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    acceleration = _acceleration(rows, counts, statistic)
    tails = special.ndtri([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]) + bias
    ranks = special.ndtr(bias + tails / (1 - acceleration * tails))
    low, high = np.quantile(again, ranks)
    return min(float(low), value), max(float(high), value)


def share(parts: Values, wholes: Values, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """The sum of `parts` over the sum of `wholes`, each unit's part between 0 and its whole.

    Where all resamples agree, as at a share of 1, each end is `slack` away.

    Args:
        parts: such as right answers, shape [units].
        wholes: such as answers, shape [units].
        seed: of the resampling.
        resamples: how many.

    Returns:
        The share, its interval, and the number of units.

    Raises:
        UndefinedEstimate: there are no units.
    """
    if not len(wholes):
        raise UndefinedEstimate("a share", "there are no units")
    units = np.stack([parts, wholes], axis=1).astype(np.float64)
    value = float(parts.sum() / wholes.sum())
    reach = slack(len(units))
    ends = interval(units, ratio, seed=seed, resamples=resamples)
    low, high = ends or (value - reach, value + reach)
    return Estimate(value=value, low=max(0.0, low), high=min(1.0, high), n=len(units))


def slack(units: int) -> float:
    """Clopper and Pearson's upper limit of the share of units unlike all that were seen."""
    return float(1 - ((1 - CONFIDENCE) / 2) ** (1 / units))


def ratio(sums: Sums) -> Values:
    """The first sum over the second: a mean, where the second counts the units."""
    quotient: Values = sums[..., 0] / sums[..., 1]
    return quotient


def _resampled(
    rows: Summands,
    counts: NDArray[np.intp],
    statistic: Statistic,
    *,
    seed: int,
    resamples: int,
) -> Float[NDArray[np.float64], " resamples"]:
    """The figure of every resample."""
    rng = np.random.default_rng(seed)
    units, stretch = int(counts.sum()), max(1, _NUMBERS_MAX // len(rows))
    figures = [
        statistic(
            rng.multinomial(units, counts / units, size=min(stretch, resamples - done)) @ rows
        )
        for done in range(0, resamples, stretch)
    ]
    return np.concatenate(figures)


def _acceleration(rows: Summands, counts: NDArray[np.intp], statistic: Statistic) -> float:
    """From the figures with one unit left out (Efron and Tibshirani 1993)."""
    without = statistic(counts @ rows - rows)
    influence = np.average(without, weights=counts) - without
    squares = float(counts @ influence**2)
    return float(counts @ influence**3) / (6 * squares**1.5) if squares > _SAME**2 else 0.0
