"""What a report reads, and what it refuses to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.report.examples import Json, area, evaluation_json, read, share, written
from training.report.errors import EvaluationUnreadable
from training.report.evaluation import read_evaluation


def test_figures_of_whole_sets_come_with_their_slices(tmp_path: Path) -> None:
    grave, petty = read(tmp_path).tests

    assert (grave.name, grave.dangerous, petty.dangerous) == ("grave matters", True, False)
    assert grave.whole.recall is not None
    assert grave.whole.recall.as_json() == share(297, 300)
    assert [part.name for part in grave.parts] == ["family: first_kind", "case: context"]
    assert grave.recall_at[0.001] is None


def test_a_set_without_slices_has_its_figures_at_the_threshold(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    test = evaluation["sections"]["claim"]["figures"]["tests"][0]
    del test["parts"]
    test["at_threshold"] = {"recall": share(5, 10), "false_alarms": None}

    whole = read(tmp_path, evaluation).tests[0].whole

    assert whole.recall is not None
    assert whole.recall.as_json() == share(5, 10)
    assert whole.auroc is not None
    assert whole.false_alarms is None


@pytest.mark.parametrize("missing", ["low", "high", "n"])
def test_a_figure_without_its_interval_or_n_is_refused(tmp_path: Path, missing: str) -> None:
    """A number that nobody can weigh would stand on a page for those who decide."""
    evaluation = evaluation_json()
    figure = evaluation["sections"]["generalisation"]["figures"]["left_out"]["chores"]
    del figure[missing]

    with pytest.raises(EvaluationUnreadable, match=r"left_out\.chores lacks"):
        read(tmp_path, evaluation)


@pytest.mark.parametrize("missing", [["low"], ["high"], ["n"], ["low", "high"]])
def test_a_figure_in_a_list_is_held_to_the_same(tmp_path: Path, missing: list[str]) -> None:
    evaluation = evaluation_json()
    row = evaluation["sections"]["stress"]["figures"]["tests"][0]["rows"][1]
    row["recall"] = {k: v for k, v in row["recall"].items() if k not in missing}

    with pytest.raises(EvaluationUnreadable, match=r"tests\[0\]\.rows\[1\]\.recall lacks"):
        read(tmp_path, evaluation)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", "Expecting value"),
        ("[]", "attribute"),
        ('{"format": 2}', "its format is 2, and this version reads 1"),
        ('{"format": 1, "created_at": "", "subject": {"probe": "a@1"}}', "no 'sections'"),
        ('{"format": 1, "created_at": "", "subject": {}, "sections": {}}', "no 'probe'"),
        ('{"format": 1, "created_at": "", "subject": [], "sections": {}}', "indices"),
        ('{"format": NaN}', "NaN, which is no figure"),
    ],
)
def test_what_is_no_evaluation_is_refused_in_a_sentence(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)

    with pytest.raises(EvaluationUnreadable, match=told):
        read_evaluation(path)


def test_a_file_that_is_missing_is_told_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(EvaluationUnreadable, match="probewatch evaluate"):
        read_evaluation(tmp_path / "none.json")


def test_an_evaluation_of_nothing_is_read(tmp_path: Path) -> None:
    evaluation = read(tmp_path, evaluation_json() | {"sections": {}})

    assert (evaluation.tests, evaluation.controls) == ((), ())
    assert evaluation.figures("claim") == {}


def test_a_control_that_warns_has_not_passed(tmp_path: Path) -> None:
    assert outcomes(tmp_path, {"figures": {"words": {"warns": True}}}) == {"words": False}


def test_a_control_that_does_not_say_whether_it_warns_is_not_measured(tmp_path: Path) -> None:
    assert outcomes(tmp_path, {"figures": {"words": {"words": area(0.6)}}}) == {"words": None}


def test_a_control_that_was_refused_is_not_measured(tmp_path: Path) -> None:
    """Controls that could not be made would otherwise count as passed, all of none."""
    found = outcomes(
        tmp_path,
        {"figures": {"words": {"warns": False}}, "refusals": ["untrained model: too large"]},
    )

    assert found == {"words": True, "untrained model: too large": None}


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\u202e", "\ud800", "\uffff"])
def test_letters_that_no_page_can_hold_are_marked(tmp_path: Path, letter: str) -> None:
    """One such letter in a data set's name would leave no report, or one that reads backwards."""
    evaluation = evaluation_json(data=[{"name": f"a{letter}b", "sha256": "", "role": "tested"}])
    evaluation["sections"][f"c{letter}d"] = {}

    found = read(tmp_path, evaluation)

    assert found.subject["data"][0]["name"] == "a\ufffdb"
    assert "c\ufffdd" in found.sections


def test_the_file_is_named_by_its_bytes(tmp_path: Path) -> None:
    one = written(tmp_path)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(evaluation_json(), indent=1))

    assert read_evaluation(one).sha256 != read_evaluation(other).sha256


def outcomes(folder: Path, controls: dict[str, Any]) -> Json:
    evaluation = evaluation_json()
    evaluation["sections"]["controls"] = controls
    return {control.name: control.passed for control in read(folder, evaluation).controls}


def test_an_estimate_may_say_more_of_itself(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"][0]["auroc"] = {**area(0.9), "method": "5"}

    assert read(tmp_path, evaluation).tests[0].whole.auroc is not None
