"""How often reviewers are right on cases whose answer is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from probing.estimates import Estimate, UndefinedEstimate, rate
from service.figures.outcome import Figure, figure
from service.figures.resampling import RESAMPLES, share


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """One reviewer's ruling on one known-answer case."""

    reviewer: str
    """Who ruled."""
    case: str
    """Which case: two rulings on it are not two trials."""
    right: bool
    """Whether the label is the known one. "Unsure" is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Shares of known answers that were met."""

    of_all: Figure
    """Of all rulings; its interval and n are over cases, as the same case is hard for all."""
    by_reviewer: dict[str, Figure]
    """Of each reviewer's rulings, with the exact interval."""


def accuracy(
    answers: Iterable[KnownAnswer], *, seed: int = 0, resamples: int = RESAMPLES
) -> Accuracy:
    """Right of ruled, by reviewer and in all; undefined where there is no answer."""
    answers = list(answers)
    verdicts: dict[str, list[bool]] = {}
    for answer in answers:
        verdicts.setdefault(answer.reviewer, []).append(answer.right)
    return Accuracy(
        of_all=figure(lambda: _in_all(answers, seed=seed, resamples=resamples)),
        by_reviewer={name: rate(sum(right), len(right)) for name, right in verdicts.items()},
    )


def _in_all(answers: list[KnownAnswer], *, seed: int, resamples: int) -> Estimate:
    if not answers:
        raise UndefinedEstimate(
            "the accuracy of reviewers", "no known-answer case was ruled on", "queue some"
        )
    cases: dict[str, list[bool]] = {}
    for answer in answers:
        cases.setdefault(answer.case, []).append(answer.right)
    right = np.array([float(sum(given)) for given in cases.values()])
    given = np.array([float(len(given)) for given in cases.values()])
    return share(right, given, seed=seed, resamples=resamples)
