"""What review comes to, as plain functions: bands, states, rubrics."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from service.domain import CaseState
from service.review_errors import DraftRefused, QueueRefused
from service.reviewing import Draft, Queue, Rubric, Term, band_of, state_of
from tests.service.store.desk import RUBRIC, queue


@pytest.mark.parametrize(
    ("statistic", "threshold", "band"),
    [
        (1.0, 1.0, 0),
        (1.0 + 0.124, 1.0, 0),
        (1.0 + 0.125, 1.0, 1),
        (1.25, 1.0, 2),
        (1.5, 1.0, 3),
        (2.0, 1.0, 4),
        (0.0, 1.0, 0),
        (0.125, 0.0, 1),
        (-300.0, -400.0, 2),
        (450.0, 400.0, 1),
        (math.inf, 1.0, 4),
        (math.inf, math.inf, 0),
        (math.nan, 1.0, 0),
        (1.0, math.nan, 0),
    ],
)
def test_a_band_is_the_distance_above_the_threshold_by_the_thresholds_size(
    statistic: float, threshold: float, band: int
) -> None:
    """A probe with large logits would otherwise fill the top of every queue."""
    assert band_of(statistic, threshold) == band


@pytest.mark.parametrize(
    ("reviewers", "labels", "adjudicated", "state"),
    [
        (1, "", False, CaseState.OPEN),
        (1, "a", False, CaseState.CLOSED),
        (2, "a", False, CaseState.NEEDS_SECOND),
        (2, "aa", False, CaseState.CLOSED),
        (2, "ab", False, CaseState.ADJUDICATE),
        (3, "ab", False, CaseState.NEEDS_SECOND),
        (3, "aab", False, CaseState.ADJUDICATE),
        (2, "ab", True, CaseState.CLOSED),
    ],
)
def test_a_state_is_what_the_verdicts_make_of_it(
    reviewers: int, labels: str, adjudicated: bool, state: CaseState
) -> None:
    assert state_of(reviewers, labels, adjudicated=adjudicated) is state


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reviewers": 0}, "reviewers"),
        ({"reviewers": 11}, "reviewers"),
        ({"reviewers": True}, "reviewers"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"lease_seconds": 24 * 3600 + 1}, "lease_seconds"),
        ({"name": ""}, "name"),
        ({"name": " default"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"clause_required": True, "rubric": Rubric(labels=RUBRIC.labels)}, "clause_required"),
    ],
)
def test_a_queue_that_cannot_work_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(QueueRefused, match="expected") as caught:
        queue(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("names", "sentence"),
    [(("a",), "one"), (("a", "a"), "twice"), (("a", ""), "unnamed"), (("a", "b"), "  ")],
)
def test_a_rubric_that_leaves_no_choice_is_refused(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(QueueRefused):
        Rubric(labels=tuple(Term(name=name, sentence=sentence) for name in names))


STRICT = queue(reason_required=True, clause_required=True)
GOOD = Draft(label="harmless", confidence=3, reason="a joke", clause="3.1", span=(0, 2))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"label": "unheard of"}, "label"),
        ({"confidence": 0}, "confidence"),
        ({"confidence": 6}, "confidence"),
        ({"confidence": True}, "confidence"),
        ({"confidence": 2.0}, "confidence"),
        ({"reason": " \n"}, "reason"),
        ({"clause": None}, "clause"),
        ({"clause": "9.9"}, "clause"),
        ({"span": (0, 0)}, "span"),
        ({"span": (-1, 1)}, "span"),
        ({"span": (1, 3)}, "span"),
        ({"comment": "x" * 10_001}, "comment"),
        ({"reason": "x" * 10_001}, "reason"),
    ],
)
def test_a_draft_that_does_not_keep_to_the_rubric_is_refused(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(DraftRefused, match="send it again") as caught:
        replace(GOOD, **changes).require(STRICT, tokens=2)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("draft", "rules"),
    [(GOOD, STRICT), (Draft(label="harmless", confidence=1), queue())],
    ids=["with all", "with the least"],
)
def test_a_draft_that_keeps_to_the_rubric_is_not(draft: Draft, rules: Queue) -> None:
    draft.require(rules, tokens=2)
