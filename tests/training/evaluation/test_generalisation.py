"""What one family teaches, and whether it carries over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.training.evaluation.examples import toy_subject, toy_test
from tests.training.examples import collected, dataset
from training.collect import Collected
from training.datasets.schema import Dataset
from training.evaluation.generalisation import ANSWERS_MIN, _fitted_on, generalisation


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

    carried = [
        (area["value"], source, target)
        for source, row in section.figures["matrix"].items()
        for target, area in row.items()
        if target in ("family-0", "family-1")
    ]
    value, source, target = min(carried)
    assert f"over {len(carried)} pairs of a harmless and a dangerous family" in section.findings[0]
    assert section.findings[0].endswith(f"lowest is {value:.3f}, from {source} to {target}.")
    assert "family-2" in section.findings[-1]
    assert section.figures["families"]["family-0"] == "dangerous", "they share a name here"


def test_only_families_of_dangerous_sets_are_called_dangerous() -> None:
    subject = toy_subject()
    benign, dangerous = subject.tests
    petty = relatives(benign.dataset, "petty")
    subject = replace(subject, tests=(replace(benign, dataset=petty), dangerous))

    families = generalisation(subject).figures["families"]

    assert families == {
        "petty-0": "benign", "petty-1": "benign", "family-0": "dangerous",
        "family-1": "dangerous", "family-2": "benign",
    }  # fmt: skip


def test_families_that_share_a_situation_are_not_held_against_each_other() -> None:
    """What is left out would be known from another family, and the figure would be too good."""
    subject = toy_subject()
    data = with_own_signal([])
    shared = tuple(
        replace(e, situation="shared") if i in (0, 1, 2) else e for i, e in enumerate(data.dataset)
    )
    shared_set = replace(data, dataset=replace(data.dataset, examples=shared))

    section = generalisation(replace(subject, fitting=shared_set))

    assert section.figures["left_out"] == {}
    assert "situation 'shared' of family" in section.refusals[0]


def relatives(data: Dataset, name: str) -> Dataset:
    """The same answers in families of another name."""
    examples = (replace(e, family=e.family.replace("family", name)) for e in data)
    return replace(data, examples=tuple(examples))


def test_a_family_of_the_tests_is_judged_there_and_not_on_the_fitting_set() -> None:
    """The fitting set has 20 situations of it, and the test set 30 that nobody fitted on."""
    subject = replace(toy_subject(), tests=(toy_test("apart", seed=4),))

    figures = generalisation(subject).figures

    sizes = {family: area["n"] for family, area in figures["matrix"]["family-0"].items()}
    assert sizes == {"family-0": 60, "family-1": 60, "family-2": 40}
    assert figures["left_out"]["family-0"]["n"] == 60


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


@pytest.mark.parametrize(
    ("name", "family", "fitted"),
    [("a", "a", True), ("a", "b", False), ("all but a", "a", False), ("all but a", "b", True)],
)
def test_a_probe_s_name_says_what_it_was_fitted_on(name: str, family: str, fitted: bool) -> None:
    assert _fitted_on(name, family) is fitted


def test_a_family_of_one_label_is_left_out() -> None:
    """Nothing can be fitted on it, and the others must not be lost with it."""
    data = dataset(60, families=3)
    kept = [i for i, e in enumerate(data) if e.family != "family-1" or e.label == "honest"]

    section = generalisation(replace(toy_subject(), fitting=collected(data.select(kept)), tests=()))

    assert set(section.figures["matrix"]) == {"family-0", "family-2"}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_figures(seed: int) -> None:
    subject = replace(toy_subject(), seed=seed)

    assert generalisation(subject).figures == generalisation(subject).figures
