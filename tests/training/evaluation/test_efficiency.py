"""Few pairs are drawn again and again; every figure says how often, and how far apart."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from probing.estimates import rate
from tests.training.evaluation.examples import toy_subject, toy_test
from tests.training.examples import collected, dataset
from training.evaluation.efficiency import (
    DRAWS,
    _drawn,
    _over_draws,
    efficiency,
    pairs_of,
    sizes_of,
)
from training.evaluation.subject import Subject
from training.families.family import Answers


@pytest.fixture(scope="module")
def subject() -> Subject:
    toy = toy_subject()
    return replace(toy, tests=(toy.tests[0], toy_test("grave", count=120, seed=3, dangerous=True)))


@pytest.mark.parametrize(
    ("pairs", "sizes"),
    [(4, [4]), (5, [4, 5]), (8, [4, 8]), (60, [4, 8, 16, 32, 60]), (64, [4, 8, 16, 32, 64])],
)
def test_numbers_double_until_all_are_taken(pairs: int, sizes: list[int]) -> None:
    assert sizes_of(pairs) == sizes


def test_a_pair_is_a_situation_with_both_labels() -> None:
    """An honest answer more, without its other, would make eight texts look like four pairs."""
    data = dataset(6)
    halved = data.select([i for i in range(len(data)) if i not in (0, 3)])

    pairs = pairs_of(halved)

    assert len(pairs) == 4
    for honest, misbehaving in pairs:
        labels = [halved.examples[i].label for i in (*honest, *misbehaving)]
        assert labels == ["honest", "misbehaving"]
        assert len({halved.examples[i].situation for i in (*honest, *misbehaving)}) == 1


def test_a_draw_takes_one_of_each_label_from_different_situations() -> None:
    data = dataset(10)
    twice = replace(data, examples=data.examples * 2)

    chosen = _drawn(pairs_of(twice), 6, random.Random(0))

    assert len(chosen) == 12
    assert twice.labels[chosen].sum() == 6
    assert len({twice.examples[i].situation for i in chosen}) == 6


def test_points_run_from_few_pairs_to_all(subject: Subject) -> None:
    section = efficiency(subject)

    (test,) = section.figures["tests"]
    assert test["name"] == "grave"
    assert section.figures["pairs"] == 60
    assert [point["pairs"] for point in test["points"]] == [4, 8, 16, 32, 60]
    assert [point["draws"] for point in test["points"]] == [DRAWS] * 4 + [1]
    for point in test["points"]:
        values = [one["auroc"]["value"] for one in point["each"]]
        assert point["auroc"]["n"] == len(values) == point["draws"]
        assert point["auroc"]["low"] == min(values)
        assert point["auroc"]["high"] == max(values)
        assert all(one["auroc"]["n"] == 240 for one in point["each"])
        assert all(one["recall"]["n"] == 120 for one in point["each"])
    assert section.refusals == []


def test_draws_differ_and_come_again_with_the_seed(subject: Subject) -> None:
    first, again, other = (
        efficiency(replace(subject, seed=seed)).figures["tests"][0]["points"] for seed in (0, 0, 1)
    )

    assert len({one["auroc"]["value"] for one in first[0]["each"]}) > 1
    assert first == again
    assert first[0] != other[0]


def test_all_pairs_are_the_recipe_on_everything(subject: Subject) -> None:
    (point,) = efficiency(subject).figures["tests"][0]["points"][-1:]
    probe = subject.recipe.fit(
        Answers(subject.fitting, subject.recipe.sites), np.arange(len(subject.fitting.dataset))
    )
    peaks = replace(subject, probe=probe).peaks(subject.tests[1])

    labels = subject.tests[1].dataset.labels
    above = (peaks[labels == 1][:, None] > peaks[labels == 0]).mean()
    assert point["auroc"]["value"] == pytest.approx(above)


def test_too_few_honest_answers_refuse_the_recall_and_leave_the_area() -> None:
    section = efficiency(toy_subject())

    (test,) = section.figures["tests"]
    assert all(point["recall"] is None for point in test["points"])
    assert all(point["auroc"] for point in test["points"])
    assert section.refusals == [
        "dangerous, recall at 1% false positives: 100 honest answers that may trip are needed"
    ]
    assert "not measured" in section.findings[1]


def test_without_pairs_or_a_dangerous_test_nothing_is_fitted() -> None:
    toy = toy_subject()
    alone = collected(toy.fitting.dataset.only("honest"))

    section = efficiency(replace(toy, fitting=alone, tests=toy.tests[:1]))

    assert section.figures["tests"] == []
    assert [sentence.split(" ")[0] for sentence in section.refusals] == ["0", "no"]


def test_four_pairs_are_enough_to_be_told() -> None:
    toy = toy_subject()
    few = replace(toy, fitting=collected(dataset(4)))

    section = efficiency(few)

    assert [point["pairs"] for point in section.figures["tests"][0]["points"]] == [4]
    assert len(section.findings) == 2


def test_a_test_of_one_label_gives_no_figure_and_ends_nothing() -> None:
    toy = toy_subject()
    alone = collected(toy.tests[1].dataset.only("misbehaving"), seed=3)

    section = efficiency(replace(toy, tests=(alone,)))

    assert all(point["auroc"] is None for point in section.figures["tests"][0]["points"])
    assert section.findings == []


def test_of_many_pairs_it_does_not_matter_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five fits on thousands of pairs take an hour and differ by nothing."""
    monkeypatch.setattr("training.evaluation.efficiency.DRAWN_PAIRS_MAX", 8)

    points = efficiency(toy_subject()).figures["tests"][0]["points"]

    assert [point["draws"] for point in points] == [DRAWS, DRAWS, 1, 1, 1]


def test_a_median_over_draws_needs_all_of_them() -> None:
    """Where some draws define no figure, those that do are no fair sample of them."""
    defined = [rate(9, 10), rate(10, 10)]

    assert _over_draws(defined) is not None
    assert _over_draws([*defined, None]) is None
