"""What one family teaches, and whether it carries over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluation.examples import toy_subject
from tests.training.examples import collected, dataset
from training.collect import Collected
from training.evaluation.generalisation import ANSWERS_MIN, generalisation


def with_own_signal(families: Sequence[str], *, count: int = 90, seed: int = 0) -> Collected:
    """Readings in which the label of these families shows in a feature that is theirs alone."""
    data = collected(dataset(count, families=3), seed=seed)
    begins = np.cumsum(data.lengths) - data.lengths
    for example, begin, length in zip(data.dataset, begins, data.lengths, strict=True):
        if example.family in families:
            own = data.shards[0][1, begin : begin + length]
            own[:, 0] -= 3.0 * (example.label == "misbehaving")
            own[:, 5] += 3.0 * (example.label == "misbehaving")
    return data


def test_a_family_with_a_signal_of_its_own_is_seen_to_stand_alone() -> None:
    subject = toy_subject()
    fitting, test = with_own_signal(["family-2"]), with_own_signal(["family-2"], seed=9)
    subject = replace(subject, fitting=fitting, tests=(test,))

    figures = generalisation(subject).figures

    matrix = figures["matrix"]
    assert matrix["family-0"]["family-1"]["value"] > 0.9
    assert matrix["family-2"]["family-2"]["value"] > 0.9
    assert matrix["family-2"]["family-0"]["value"] < 0.8
    assert figures["left_out"]["family-2"]["value"] < 0.8 < figures["left_out"]["family-0"]["value"]


def test_the_weakest_family_and_pair_are_named() -> None:
    subject = toy_subject()
    subject = replace(subject, fitting=with_own_signal(["family-2"]))

    section = generalisation(subject)

    assert "harmless and a dangerous family" in section.findings[0]
    assert "family-2" in section.findings[-1]
    assert section.figures["families"]["family-0"] == "dangerous", "they share a name here"


def test_a_probe_is_never_tested_on_what_it_was_fitted_on() -> None:
    """The diagonal would say that it has learnt by heart."""
    subject = replace(toy_subject(), tests=())

    matrix = generalisation(subject).figures["matrix"]

    assert all(family not in row for family, row in matrix.items())
    assert all(len(row) == 2 for row in matrix.values())


def test_families_with_too_few_answers_are_left_out_and_said() -> None:
    few = collected(dataset(ANSWERS_MIN - 1, families=1))

    section = generalisation(replace(toy_subject(), fitting=few, tests=()))

    assert section.figures["matrix"] == {}
    assert section.refusals == [f"no family has {ANSWERS_MIN} answers of each label to fit on"]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_figures(seed: int) -> None:
    subject = replace(toy_subject(), seed=seed)

    assert generalisation(subject).figures == generalisation(subject).figures
