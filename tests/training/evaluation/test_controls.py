"""All controls together: none is lost, and the worst is told first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import training.evaluation.control as shared
from probing.estimates import auroc
from tests.training.evaluation.readings import SUBJECT
from tests.training.examples import collected
from training.evaluate import BagOfWords
from training.evaluation.control import areas_of, figure_of
from training.evaluation.controls import controls
from training.evaluation.directions import random_probes
from training.evaluation.overlap import bag_of_words


@pytest.mark.parametrize("numbers", [1, 3_200, 25_000_000])
def test_areas_are_those_of_each_probe_alone(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few probes fit into memory at a time."""
    monkeypatch.setattr(shared, "SCORES_MAX", numbers)
    like = replace(SUBJECT.probe, tokens_min=8)
    probes = random_probes(like, SUBJECT.fitting, count=7, seed=3)
    test = SUBJECT.tests[1]

    found = areas_of(test, probes)

    alone = [auroc(replace(SUBJECT, probe=one).peaks(test), test.dataset.labels) for one in probes]
    assert found == pytest.approx([area.value for area in alone], abs=1e-9)


def test_words_that_tell_as_much_speak_against_the_probe() -> None:
    words = BagOfWords(SUBJECT.fitting.dataset)

    found = bag_of_words(figure_of(SUBJECT), words)

    assert found.figures["words"]["value"] == 1
    assert found.warns


def test_the_section_says_first_what_speaks_against_the_probe() -> None:
    """A reader who stops after one sentence must have read the worst."""
    section = controls(SUBJECT)

    warned = [figures["warns"] for figures in section.figures.values()]
    assert sorted(section.figures) == [
        "bag_of_words", "control_task", "leak_filter", "near_duplicates", "random_directions",
        "shuffled_labels",
    ]  # fmt: skip
    assert len(section.findings) == len(warned)
    assert not warned[0], "the first that is measured is not the worst here"
    assert sum(warned) == 3
    assert section.findings[3].startswith("The recipe's selectivity is")
    assert section.refusals == [
        "untrained model: needs the model, and there is none; name it with --model"
    ]
    json.dumps(section.as_json(), allow_nan=False)


def test_repetitions_are_looked_for_wherever_answers_must_be_new() -> None:
    """A threshold that is set on what was fitted on promises too few false alarms."""
    sets = controls(SUBJECT).figures["near_duplicates"]["sets"]

    assert [one["name"] for one in sets] == [
        "the calibration set", "the test set benign", "the test set dangerous",
    ]  # fmt: skip


def test_without_a_test_set_what_can_be_measured_is() -> None:
    """One control that cannot be measured must not lose the others."""
    section = controls(replace(SUBJECT, tests=()))

    assert set(section.figures) == {"control_task", "near_duplicates"}
    assert section.refusals == [
        "all other controls: needs a test set, and there is none; name one with --test-data"
    ]


def test_a_judge_joins_the_controls(tmp_path: Path) -> None:
    section = controls(SUBJECT, judge=tmp_path / "nowhere.jsonl")

    assert any(sentence.startswith("judge: cannot read") for sentence in section.refusals)


def test_controls_are_held_against_the_dangerous_set() -> None:
    assert figure_of(SUBJECT).name == "dangerous"
    assert figure_of(replace(SUBJECT, tests=SUBJECT.tests[:1])).name == "benign"
    assert figure_of(SUBJECT).auroc == auroc(
        SUBJECT.peaks(SUBJECT.tests[1]), collected(SUBJECT.tests[1].dataset).dataset.labels
    )
