"""What a control is: something that should do worse than the probe, and whether it does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import stats

from probing.estimates import Estimate, auroc
from probing.probe import Probe
from training.collect import Collected
from training.datasets.schema import Dataset
from training.errors import TrainingError
from training.evaluation.subject import Json, Peaks, Subject
from training.live import peaks_of_many
from training.score import answer_lengths

SCORES_MAX = 25_000_000
"""Numbers in one table of scores: 100 MB."""

Areas = Float[NDArray[np.float64], " probes"]


class ControlUndefined(TrainingError):
    """A control cannot be measured on this subject."""

    code = "control_undefined"

    def __init__(self, needed: str, found: str, remedy: str) -> None:
        super().__init__(f"needs {needed}, and there is {found}; {remedy}")
        self.needed, self.found, self.remedy = needed, found, remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a control found."""

    figures: Json
    """Everything that was measured; rates and areas as value, low, high and n."""
    sentence: str
    """The finding, with its figures."""
    warns: bool
    """Whether it speaks against the probe's figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The probe's figure that controls are held against."""

    collected: Collected
    """The test set."""
    peaks: Peaks
    """The probe's live statistic of each answer."""
    auroc: Estimate
    """How well it tells misbehaving answers from honest ones."""

    @property
    def name(self) -> str:
        """Of the test set."""
        return self.collected.dataset.name


def figure_of(subject: Subject) -> Figure:
    """The probe on the first dangerous test set, or else on the first.

    Raises:
        ControlUndefined: there is no test set.
        UndefinedEstimate: it lacks a class.
    """
    if not subject.tests:
        raise ControlUndefined("a test set", "none", "name one with --test-data")
    collected = (*subject.dangerous, *subject.tests)[0]
    peaks = subject.peaks(collected)
    return Figure(collected=collected, peaks=peaks, auroc=auroc(peaks, collected.dataset.labels))


def areas_of(collected: Collected, probes: Sequence[Probe]) -> Areas:
    """AUROC of the live statistic of each probe; some at a time, so that the scores fit."""
    tokens = int(answer_lengths(collected).sum())
    step = max(1, SCORES_MAX // (tokens * probes[0].aggregator.channels))
    positive = collected.dataset.labels == 1
    count = int(positive.sum())
    areas = []
    for first in range(0, len(probes), step):
        ranks = stats.rankdata(peaks_of_many(collected, probes[first : first + step]), axis=0)
        above = ranks[positive].sum(axis=0) - count * (count + 1) / 2
        areas.append(above / (count * (len(positive) - count)))
    return np.concatenate(areas)


def situations_of(dataset: Dataset) -> list[list[int]]:
    """The examples of each situation."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, situation in enumerate(dataset.situations):
        groups[situation].append(index)
    return list(groups.values())
