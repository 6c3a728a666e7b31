"""Share examples out so that no situation stands on two sides."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.datasets.schema import LABELS, Dataset, Example
from training.errors import EmptyClass, SituationLeak, TooFewSituations

Indices = NDArray[np.int64]
Fold = tuple[Indices, Indices]
"""Examples to fit on, and examples to score."""


def require_both_classes(dataset: Dataset) -> None:
    """Refuse a set from which nothing can be learned.

    Raises:
        EmptyClass: it has no honest or no misbehaving example.
    """
    misbehaving = int(dataset.labels.sum())
    if misbehaving in (0, len(dataset)):
        raise EmptyClass(dataset.name, len(dataset) - misbehaving, misbehaving)


def grouped_folds(
    dataset: Dataset, *, folds: int, seed: int, by_family: bool = False
) -> list[Fold]:
    """Folds of about equal size, families and class balance, whole situations in each.

    scikit-learn's StratifiedGroupKFold does the same and takes a time that grows with
    the square of the situations: minutes, where this takes milliseconds.

    Args:
        by_family: keep whole families together instead, which asks for more: that what
            was learned in some families holds in others.

    Raises:
        EmptyClass: a class is missing.
        TooFewSituations: a class stands in fewer situations (or families) than there are folds.
        SituationLeak: families are kept together and share a situation.
    """
    require_spread(dataset, folds, by_family=by_family)
    groups = list(_groups(dataset, by_family=by_family).values())
    hands: list[list[int]] = [[] for _ in range(folds)]
    for turn, group in enumerate(_shuffled(dataset, groups, seed)):
        hands[turn % folds].extend(group)
    everything = np.arange(len(dataset))
    return [(np.setdiff1d(everything, hand), np.array(sorted(hand))) for hand in hands]


def families_suffice(dataset: Dataset, folds: int) -> bool:
    """Whether there are enough families, of both classes, to hold whole ones out."""
    families = {(example.family, example.label) for example in dataset}
    return all(sum(label == own for _, own in families) >= folds for label in LABELS)


def grouped_split(dataset: Dataset, share: float, *, seed: int) -> tuple[Dataset, Dataset]:
    """Two parts, the first of about `share` of the examples, both classes alike in each.

    Args:
        share: part of the examples that goes to the first, in (0, 1).

    Raises:
        EmptyClass: a class is missing.
        TooFewSituations: a class stands in one situation only.
    """
    require_spread(dataset, 2, by_family=False)
    groups = list(_groups(dataset, by_family=False).values())
    first: list[int] = []
    second: list[int] = []
    goal = 0.0
    for group in _shuffled(dataset, groups, seed):
        goal += share * len(group)
        (first if len(first) + len(group) / 2 <= goal else second).extend(group)
    return dataset.select(sorted(first)), dataset.select(sorted(second))


def require_spread(dataset: Dataset, parts: int, *, by_family: bool) -> None:
    """Refuse where a class stands in fewer situations, or families, than there are parts.

    Raises:
        EmptyClass: a class is missing.
        TooFewSituations: names the class and what is dealt out.
        SituationLeak: families are dealt out and share a situation.
    """
    require_both_classes(dataset)
    if by_family:
        require_families_apart(dataset)
    groups = _groups(dataset, by_family=by_family).values()
    what = "families" if by_family else "situations"
    for label in LABELS:
        holding = sum(any(dataset.examples[i].label == label for i in g) for g in groups)
        if holding < parts:
            raise TooFewSituations(dataset.name, label, what, holding, parts)


def require_families_apart(dataset: Dataset) -> None:
    """Refuse families that share a situation: held out, one would be known from the other.

    Raises:
        SituationLeak: names each situation, and where it stands a second time.
    """
    homes: dict[str, Example] = {}
    problems: dict[tuple[str, str], str] = {}
    for example in dataset:
        home = homes.setdefault(example.situation, example)
        if example.family != home.family:
            problems.setdefault(
                (example.situation, example.family),
                f"{example.where}: situation {example.situation!r} of family {example.family!r} "
                f"is one of {home.family!r} as well ({home.where})",
            )
    if problems:
        raise SituationLeak(list(problems.values()))


def _groups(dataset: Dataset, *, by_family: bool) -> dict[str, list[int]]:
    """Examples that must stay together."""

    def key(example: Example) -> str:
        return example.family if by_family else example.situation

    groups: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(dataset):
        groups[key(example)].append(index)
    return groups


def _shuffled(dataset: Dataset, groups: Sequence[list[int]], seed: int) -> list[list[int]]:
    """Groups of the same family and class balance stand together, in random order.

    Dealt out in turn, every part gets its share of each.
    """
    alike: dict[tuple[int, int, str], list[list[int]]] = defaultdict(list)
    for group in groups:
        positive = sum(dataset.examples[i].label == "misbehaving" for i in group)
        alike[len(group), positive, dataset.examples[group[0]].family].append(group)
    rng = random.Random(f"split {seed}")
    order = sorted(alike, reverse=True)
    return [group for kind in order for group in rng.sample(alike[kind], len(alike[kind]))]
