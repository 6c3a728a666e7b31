"""Honesty controls: is the probe's figure evidence of anything?

Each control is something that should do worse than the probe: the recipe on labels or a
model that mean nothing, a lucky direction, words alone, a test that was seen before. What
speaks against the probe is told first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from probing.errors import ProbingError
from training.evaluate import BagOfWords
from training.evaluation.control import Control, figure_of
from training.evaluation.directions import random_directions
from training.evaluation.judge import judged
from training.evaluation.overlap import bag_of_words, leak_filter, near_duplicates
from training.evaluation.random_labels import control_task, shuffled_labels
from training.evaluation.subject import Section, Subject
from training.evaluation.untrained import untrained_model

Steps = dict[str, Callable[[], Control]]


def controls(subject: Subject, *, judge: Path | None = None) -> Section:
    """All controls of a probe, on its first dangerous test set or else its first.

    Args:
        judge: scores of a judge that reads the texts; see `training.evaluation.judge`.
    """
    steps, refusals = _of_the_data(subject), list[str]()
    try:
        steps |= _of_the_figure(subject, judge)
    except ProbingError as error:
        refusals.append(_refusal("all other controls", error))
    found: dict[str, Control] = {}
    for name, measured in steps.items():
        try:
            found[name] = measured()
        except ProbingError as error:
            refusals.append(_refusal(name, error))
    ordered = sorted(found.values(), key=lambda control: not control.warns)
    return Section(
        name="controls",
        title="Honesty controls",
        findings=[control.sentence for control in ordered],
        figures={
            name: {**control.figures, "warns": control.warns} for name, control in found.items()
        },
        refusals=refusals,
    )


def _of_the_data(subject: Subject) -> Steps:
    """Controls that need no test set with both labels."""
    others = {"the calibration set": subject.calibration.dataset}
    others |= {f"the test set {one.dataset.name}": one.dataset for one in subject.tests}
    return {
        "control_task": partial(control_task, subject),
        "near_duplicates": partial(near_duplicates, subject.fitting.dataset, others),
    }


def _of_the_figure(subject: Subject, judge: Path | None) -> Steps:
    """Controls that are held against the probe's figure.

    Raises:
        ControlUndefined, UndefinedEstimate: there is no such figure.
    """
    figure, words = figure_of(subject), BagOfWords(subject.fitting.dataset)
    steps: Steps = {
        "shuffled_labels": partial(shuffled_labels, subject, figure),
        "random_directions": partial(random_directions, subject, figure),
        "untrained_model": partial(untrained_model, subject, figure),
        "bag_of_words": partial(bag_of_words, figure, words),
        "leak_filter": partial(leak_filter, figure, words),
    }
    return steps if judge is None else {**steps, "judge": partial(judged, figure, judge)}


def _refusal(name: str, error: ProbingError) -> str:
    return f"{name.replace('_', ' ')}: {error}"
