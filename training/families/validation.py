"""Which seed to keep: the one whose fit does best on situations set aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from training.families.family import Answers, Examples

SEEDS = 3
"""Tried for each fit that begins at random weights."""
SHARE = 0.2
"""Of the situations that are set aside."""

Trained = TypeVar("Trained")


class Split(NamedTuple):
    """Examples to fit on, and those that a fit is judged by."""

    train: Examples
    validation: Examples


def set_aside(answers: Answers, examples: Examples, *, seed: int) -> Split:
    """Part of the situations, whole ones on either side."""
    situations = np.asarray(answers.dataset.situations)[examples]
    splitter = GroupShuffleSplit(1, test_size=SHARE, random_state=seed)
    train, validation = next(splitter.split(examples, groups=situations))
    return Split(examples[train], examples[validation])


def best_of_seeds(train: Callable[[int], tuple[float, Trained]], *, seed: int) -> Trained:
    """What the seed with the lowest validation loss gives.

    Args:
        train: from a seed to the validation loss and what was trained.
        seed: the first of those tried.
    """
    tried = [train(seed + offset) for offset in range(SEEDS)]
    return min(tried, key=lambda result: result[0])[1]
