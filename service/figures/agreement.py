"""How far reviewers agree on the same cases, and how much of that chance would give.

Both figures are those of K. Krippendorff, "Computing Krippendorff's Alpha-Reliability"
(University of Pennsylvania, 2011), for nominal labels with ratings missing anywhere. A
case that fewer than two reviewers ruled on says nothing of agreement and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from probing.estimates import Estimate, UndefinedEstimate
from service.figures.resampling import RESAMPLES, Summands, Sums, Values, interval, share, slack

Ratings = Mapping[str, str]
"""One case: the label that each reviewer gave, by the reviewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paired:
    """The cases with two labels or more, as counts."""

    counts: Int[NDArray[np.int64], "cases labels"]
    """How many reviewers gave each label."""

    @classmethod
    def of(cls, figure: str, cases: Sequence[Ratings]) -> _Paired:
        """Count. Raises `UndefinedEstimate` where no two reviewers met."""
        paired = [list(case.values()) for case in cases if len(case) > 1]
        if not paired:
            reason = f"no case of {len(cases)} was ruled on by two reviewers"
            raise UndefinedEstimate(figure, reason, "give some cases to a second reviewer")
        labels = sorted({label for given in paired for label in given})
        return cls(counts=np.array([[given.count(one) for one in labels] for given in paired]))

    @property
    def ratings(self) -> Values:
        """Labels given, by case."""
        ratings: Values = self.counts.sum(axis=1).astype(np.float64)
        return ratings

    @property
    def disagreement(self) -> Values:
        """Pairs of unlike labels within a case, each rating weighed by 1 / (ratings - 1)."""
        unlike: Values = self.ratings**2 - (self.counts**2).sum(axis=1)
        return unlike / (self.ratings - 1)


def percent_agreement(
    cases: Sequence[Ratings], *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Share of pairs of labels of one case that are alike, in [0, 1].

    A case with more reviewers has more pairs; it counts by its reviewers, as in alpha.

    Args:
        cases: the labels of each.
        seed: of the resampling of cases.
        resamples: how many.

    Returns:
        The share, its bootstrap interval over cases, and the cases with two labels or more.

    Raises:
        UndefinedEstimate: no case was ruled on by two reviewers.
    """
    paired = _Paired.of("agreement of reviewers", cases)
    alike = paired.ratings - paired.disagreement
    return share(alike, paired.ratings, seed=seed, resamples=resamples)


def krippendorff_alpha(
    cases: Sequence[Ratings], *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Agreement beyond chance: 1 when all agree, 0 for labels given blindly.

    With d the disagreement summed over cases, n the labels and n_c those that say c, alpha is
    1 - (n - 1) d / (n^2 - sum of n_c^2). Where all resamples agree, as at an alpha of 1, the
    interval leaves room for the share of disagreeing cases that none among those seen permits.

    Args:
        cases: the labels of each.
        seed: of the resampling of cases.
        resamples: how many.

    Returns:
        Alpha, its bootstrap interval over cases, and the cases with two labels or more.

    Raises:
        UndefinedEstimate: no case was ruled on by two reviewers, or all labels are the same,
            so that chance cannot be told from agreement.
    """
    figure = "Krippendorff's alpha"
    paired = _Paired.of(figure, cases)
    if paired.counts.shape[1] == 1:
        raise UndefinedEstimate(figure, "all labels are the same", "add cases of another kind")
    columns = [paired.disagreement, paired.ratings, *paired.counts.T.astype(np.float64)]
    units: Summands = np.stack(columns, axis=1)
    value = float(_alpha(units.sum(axis=0)))
    ends = interval(units, _alpha, seed=seed, resamples=resamples)
    low, high = ends or _without_spread(units.sum(axis=0), len(units))
    return Estimate(value=value, low=max(-1.0, low), high=high, n=len(units))


def _alpha(sums: Sums) -> Values:
    """From disagreement, labels, and labels of each kind; 1 where all are of one kind.

    Only a resample can be so: a resample with several kinds and no disagreement is 1 as well.
    """
    disagreement, labels, kinds = sums[..., 0], sums[..., 1], sums[..., 2:]
    unlike = labels**2 - (kinds**2).sum(axis=-1)
    alpha: Values = 1 - (labels - 1) * disagreement / np.where(unlike > 0, unlike, 1.0)
    return alpha


def _without_spread(sums: Sums, cases: int) -> tuple[float, float]:
    """Both ends of alpha when one more or one less case in disagreement was never drawn."""
    labels = sums[1]
    expected = float((labels**2 - (sums[2:] ** 2).sum()) / (labels * (labels - 1)))
    observed, reach = float(sums[0] / labels), slack(cases)
    return (
        1 - min(1.0, observed + reach) / expected,
        1 - max(0.0, observed - reach) / expected,
    )
