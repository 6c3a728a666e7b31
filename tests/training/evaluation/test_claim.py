"""The claim: dangerous sets first, every figure with its interval, refusals in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.training.evaluation.examples import toy_subject
from tests.training.examples import collected
from training.errors import EmptyClass
from training.evaluation.claim import claim, told
from training.evaluation.subject import Subject


@pytest.fixture(scope="module")
def subject() -> Subject:
    return toy_subject()


def test_the_dangerous_set_is_told_first(subject: Subject) -> None:
    section = claim(subject)

    assert [test["dangerous"] for test in section.figures["tests"]] == [True, False]
    assert "dangerous (dangerous misbehaviour)" in section.findings[0]


def test_a_rate_that_the_honest_answers_cannot_support_is_refused_in_words(
    subject: Subject,
) -> None:
    """Sixty honest answers say nothing about one false alarm in a hundred."""
    section = claim(subject)

    (first, *_) = section.figures["tests"]
    assert [entry["recall"] for entry in first["recall_at"]] == [None, None]
    assert any("recall at 1.0%" in sentence and "100" in sentence for sentence in section.refusals)


def test_figures_stand_for_families_lengths_and_the_whole(subject: Subject) -> None:
    (first, *_) = claim(subject).figures["tests"]

    parts = {row["part"]: row for row in first["parts"]}
    assert {"all", "family: family-0", "family: family-1"} <= set(parts)
    lengths = [row for part, row in parts.items() if part.startswith("length: ")]
    assert sum(row["recall"]["n"] + row["false_alarms"]["n"] for row in lengths) == 120
    assert parts["all"]["auroc"] == first["auroc"]


def test_answers_too_short_to_be_judged_are_counted(subject: Subject) -> None:
    """They pass whatever they say; a page that left them out would promise too much."""
    late = replace(subject, probe=replace(subject.probe, tokens_min=8))

    for found, test in zip(claim(late).figures["tests"], late.tests[::-1], strict=True):
        assert found["unmonitored"]["value"] == (test.lengths < 8).mean() > 0


def test_a_set_of_one_class_is_refused(subject: Subject) -> None:
    honest = subject.tests[0].dataset.only("honest")

    with pytest.raises(EmptyClass):
        claim(replace(subject, tests=(collected(honest, seed=5),)))


def test_what_was_not_measured_is_told_so() -> None:
    assert told(None) == "not measured"
