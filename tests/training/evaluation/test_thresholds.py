"""The section on thresholds counts what it says, on a subject whose readings are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from probing.aggregators import AggregatorSpec
from probing.estimates import Estimate
from probing.probe import Probe
from tests.training.evaluation.examples import toy_subject, toy_test
from tests.training.examples import collected
from training.calibrate import calibrate
from training.datasets.schema import Dataset
from training.evaluation.subject import Section, Subject
from training.evaluation.thresholds import thresholds_section
from training.score import answer_scores


def hardened(data: Dataset, families: int) -> Dataset:
    """Every fifth honest answer as a hard negative, of so many families."""
    examples = []
    for number, example in enumerate(data):
        hard = example.label == "honest" and number % 5 == 0
        family = f"hard-{number // 10 % families}"
        changed = replace(example, kind="hard_negative", family=family) if hard else example
        examples.append(changed)
    return replace(data, examples=tuple(examples))


def subject_of(count: int) -> Subject:
    """With so many situations in each set."""
    tests = (
        toy_test("benign", count=count, seed=2),
        toy_test("dangerous", count=count, seed=3, dangerous=True),
    )
    return replace(toy_subject(count=count), tests=tests)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_of(240)


@pytest.fixture(scope="module")
def section(subject: Subject) -> Section:
    return thresholds_section(subject)


def sizes(found: Section) -> dict[str, int]:
    return {row["set_on"]: row["n"] for row in found.figures["thresholds"]}


def test_every_kind_of_benign_answer_sets_a_threshold_of_its_own(
    subject: Subject, section: Section
) -> None:
    assert section.name == "thresholds"
    assert sizes(section) == {
        "calibration": 240, "honest of benign": 240, "honest of dangerous": 240, "long text": 120,
    }  # fmt: skip
    rates = {row["judged_on"]: row["rate"] for row in section.figures["shipped"]["rates"]}
    peaks = subject.peaks(subject.calibration)
    assert rates["calibration"]["value"] == np.mean(peaks >= np.float32(subject.probe.threshold))


def test_a_threshold_that_was_set_on_pooled_tokens_is_seen_to_trip_too_often(
    subject: Subject,
) -> None:
    """One token in twenty is above it, and so some token of every third honest answer."""
    highest = replace(subject.probe, aggregator=AggregatorSpec.parse("max"))
    tokens = answer_scores(subject.calibration, [highest])
    pooled = replace(highest, threshold=float(np.quantile(tokens, 0.95)))
    sound = calibrate(highest, subject.calibration, fpr=0.05).probe

    def tripped(probe: Probe) -> Estimate:
        figures = thresholds_section(replace(subject, probe=probe)).figures
        rates = {row["judged_on"]: row["rate"] for row in figures["shipped"]["rates"]}
        return Estimate(**rates["calibration"])

    assert tripped(sound).value == 0.05
    assert tripped(pooled).low > 0.2


def test_what_a_set_cannot_support_is_refused(section: Section) -> None:
    refused = [text for text in section.refusals if "at 0.1%" in text]

    assert len(refused) == 4
    assert all("at least 1000 are needed" in text for text in refused)


def test_long_text_is_the_longest_quarter_of_what_was_not_calibrated_on(subject: Subject) -> None:
    """Answers that set the threshold would keep its rate by construction."""
    short, long = (
        collected(test.dataset, lengths=[tokens] * len(test.dataset), seed=tokens)
        for test, tokens in zip(subject.tests, (5, 20), strict=True)
    )
    found = thresholds_section(replace(subject, tests=(short, long)))

    pairs = {(t["set_on"], t["judged_on"]): t["shared"] for t in found.figures["transfers"]}
    assert sizes(found)["long text"] == 120
    assert pairs["honest of dangerous", "long text"] == 120
    assert pairs["honest of benign", "long text"] == 0
    assert pairs["calibration", "long text"] == 0


def test_hard_negatives_stand_apart_and_by_family() -> None:
    """Among ordinary answers they would be outvoted."""
    subject = subject_of(60)
    test = toy_test("hard", seed=4)
    hard = collected(hardened(test.dataset, families=2), seed=4)
    found = sizes(thresholds_section(replace(subject, tests=(*subject.tests, hard))))

    assert found["hard negatives"] == 12
    assert found["honest of hard"] == 60 - 12
    assert found["hard negatives: hard-0"] + found["hard negatives: hard-1"] == 12


def test_one_family_of_hard_negatives_is_not_told_twice() -> None:
    subject = subject_of(60)
    held = collected(hardened(subject.calibration.dataset, families=1), seed=1)
    found = sizes(thresholds_section(replace(subject, calibration=held)))

    assert found["calibration"] + found["hard negatives"] == 60
    assert "hard negatives: hard-0" not in found


def test_bands_rest_on_harmless_misbehaviour_and_are_judged_on_all_traffic(
    subject: Subject, section: Section
) -> None:
    """Dangerous answers are what an operator does not have when a threshold is set."""
    bands = section.figures["bands"]
    shares = {row["name"]: row for row in bands["shares"]}

    assert bands["recall_set_on"] == ["benign"]
    assert bands["recall"]["n"] == 240
    assert bands["recall"]["value"] >= 0.99
    assert bands["achieved"]["n"] == 240, "of the calibration set alone"
    assert set(shares) == {*sizes(section), "misbehaving of benign", "misbehaving of dangerous"}
    caught = shares["misbehaving of dangerous"]
    assert caught["below"]["value"] + caught["between"]["value"] + caught["above"][
        "value"
    ] == pytest.approx(1)


def test_without_harmless_misbehaviour_the_band_rests_on_what_there_is() -> None:
    subject = subject_of(120)
    only = replace(subject, tests=(subject.tests[1],))

    assert thresholds_section(only).figures["bands"]["recall_set_on"] == ["dangerous"]


def test_too_little_for_a_band_is_a_refusal_and_not_an_end() -> None:
    found = thresholds_section(subject_of(60))

    assert found.figures["bands"] is None
    assert any(text.startswith("bands: 60 ") for text in found.refusals)


def test_probabilities_are_fitted_and_judged_on_halves_of_the_situations(
    section: Section,
) -> None:
    chances = section.figures["probability"]

    assert chances["fitted_on"]["n"] + chances["judged_on"]["n"] == 960
    assert [one["map"] for one in chances["maps"]] == ["logistic", "platt", "isotonic"]
    assert all(one["brier"]["n"] == chances["judged_on"]["n"] for one in chances["maps"])


def test_without_tests_probabilities_are_refused_and_the_rest_is_measured() -> None:
    found = thresholds_section(replace(subject_of(60), tests=()))

    assert found.figures["probability"] is None
    assert any(text.startswith("probability: ") for text in found.refusals)
    assert sizes(found) == {"calibration": 60}


def test_what_each_threshold_still_catches_is_stated(section: Section) -> None:
    caught = section.figures["caught"]

    assert {row["test"] for row in caught} == {"benign", "dangerous"}
    assert all(row["recall"]["n"] == 240 for row in caught)
    assert {row["fpr"] for row in caught} == {0.01}, "none was found at the other rate"


def test_the_move_after_which_most_answers_trip_is_told_and_what_is_uncertain(
    section: Section,
) -> None:
    moved = [t for t in section.figures["transfers"] if t["set_on"] != t["judged_on"]]

    worst = max(moved, key=lambda row: float(row["rate"]["value"]))

    (told,) = (text for text in section.findings if "the largest share after a move" in text)
    assert told.startswith(f'Set at 1.0% on "{worst["set_on"]}", ')
    assert f'answers of "{worst["judged_on"]}"' in told
    assert any(
        text.startswith('Set on "calibration": 240 answers do not show that 1.00% is kept')
        for text in section.findings
    )


def test_the_section_is_plain_json_without_infinities(section: Section) -> None:
    """-inf in a file would be read by nobody."""
    json.dumps(section.as_json(), allow_nan=False)

    rates = sorted(section.figures["shipped"]["rates"], key=lambda r: float(r["rate"]["value"]))
    assert section.findings[0].startswith("The shipped threshold of ")
    assert all(f'of "{row["judged_on"]}"' in section.findings[0] for row in (rates[0], rates[-1]))
