"""A judge's scores are read whole or refused with their lines, and compared on what it saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluation.examples import toy_subject
from tests.training.examples import write_lines
from training.errors import DatasetInvalid, DatasetUnreadable
from training.evaluation.control import ControlUndefined, figure_of
from training.evaluation.judge import judged, load_scores

SUBJECT = toy_subject()


def test_a_judge_is_compared_on_what_it_scored(tmp_path: Path) -> None:
    figure = figure_of(SUBJECT)
    scored = [e for n, e in enumerate(figure.collected.dataset) if n % 4 > 1]
    lines = [{"id": e.id, "score": float(e.label == "misbehaving")} for e in scored]

    found = judged(figure, write_lines(tmp_path / "judge.jsonl", lines))

    assert found.figures["judge"]["value"] == 1
    assert found.figures["judge"]["n"] == found.figures["probe"]["n"] == len(scored) == 60
    assert "60 of 120 answers" in found.sentence


@pytest.mark.parametrize("told", [True, False])
def test_a_judge_that_does_better_speaks_against_the_probe(tmp_path: Path, told: bool) -> None:
    """What a reader of the texts sees is no merit of a probe that reads the model."""
    figure = figure_of(SUBJECT)
    blind = replace(figure, peaks=np.random.default_rng(0).normal(size=120))
    lines = [
        {"id": e.id, "score": float(e.label == "misbehaving") if told else n % 5}
        for n, e in enumerate(figure.collected.dataset)
    ]

    found = judged(blind, write_lines(tmp_path / "judge.jsonl", lines))

    assert found.warns is told


def test_a_judge_that_scored_other_examples_is_refused(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "judge.jsonl", [{"id": "elsewhere", "score": 1}])

    with pytest.raises(ControlUndefined, match="score them by their ids"):
        judged(figure_of(SUBJECT), file)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "bad JSON"),
        ("[" * 100_000, "bad JSON"),
        ("[]", "not an object with id and score"),
        (["id", "score"], "not an object with id and score"),
        ({"id": "b", "score": 1, "label": 1}, "not an object with id and score"),
        ({"id": "a"}, "not an object with id and score"),
        ({"id": 3, "score": 1}, "the id is not a text"),
        ({"id": "b", "score": "1"}, "the score '1' is not a finite number"),
        ({"id": "b", "score": True}, "the score True is not a finite number"),
        ('{"id": "b", "score": NaN}', "the score nan is not a finite number"),
        ({"id": "a", "score": 2}, "id 'a' stands twice"),
    ],
)
def test_bad_lines_of_a_judge_are_named(tmp_path: Path, line: object, problem: str) -> None:
    """A score that is dropped or taken for another would compare the wrong judge."""
    file = write_lines(tmp_path / "judge.jsonl", [{"id": "a", "score": 1}, "", line])

    with pytest.raises(DatasetInvalid, match=f"judge.jsonl:3: {problem}"):
        load_scores(file)


def test_a_judge_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="it holds no scores"):
        load_scores(write_lines(tmp_path / "judge.jsonl", []))
    with pytest.raises(DatasetUnreadable):
        load_scores(tmp_path / "nowhere.jsonl")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "judge.jsonl").write_bytes('{"id": "é", "score": 1}'.encode("latin-1"))

    with pytest.raises(DatasetUnreadable):
        load_scores(tmp_path / "judge.jsonl")
