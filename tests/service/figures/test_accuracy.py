"""Accuracy on known answers: exact by reviewer, over cases in all."""

from __future__ import annotations

import numpy as np

from probing.estimates import Estimate, rate
from service.figures.accuracy import KnownAnswer, accuracy
from service.figures.outcome import Undefined


def answer(reviewer: str, case: str, right: bool) -> KnownAnswer:
    return KnownAnswer(reviewer=reviewer, case=case, right=right)


def test_each_reviewer_has_an_exact_interval() -> None:
    found = accuracy(
        [answer("ann", str(case), case < 9) for case in range(10)]
        + [answer("bob", str(case), case < 5) for case in range(5)]
    )

    assert found.by_reviewer == {"ann": rate(9, 10), "bob": rate(5, 5)}


def test_accuracy_in_all_is_right_of_ruled_over_cases() -> None:
    found = accuracy(
        [answer("ann", "1", True), answer("bob", "1", True), answer("ann", "2", False)]
    )

    assert isinstance(found.of_all, Estimate)
    assert found.of_all.value == 2 / 3
    assert found.of_all.n == 2


def test_ten_reviewers_of_one_case_are_not_ten_trials() -> None:
    """A hard case fools all of them at once; an interval over rulings would not know."""
    rng = np.random.default_rng(0)
    hard = rng.random(40) < 0.3
    rulings = [
        answer(f"r{who}", f"c{case}", not hard[case]) for who in range(10) for case in range(40)
    ]

    found = accuracy(rulings).of_all

    assert isinstance(found, Estimate)
    assert found.high - found.low > 2 * (rate(280, 400).high - rate(280, 400).low)


def test_all_right_leaves_room_below() -> None:
    """The same limit as that of a rate: 20 cases of 20 are at least 83%."""
    found = accuracy([answer("ann", str(case), True) for case in range(20)]).of_all

    assert isinstance(found, Estimate)
    assert (found.value, found.high) == (1, 1)
    assert abs(found.low - rate(20, 20).low) < 1e-9


def test_no_known_answers_give_no_accuracy() -> None:
    found = accuracy([])

    assert isinstance(found.of_all, Undefined)
    assert "no known-answer case was ruled on" in found.of_all.reason
    assert found.by_reviewer == {}


def test_the_interval_in_all_covers_the_truth() -> None:
    """Cases differ in how hard they are, from 60% to 100% right, for all five reviewers alike."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(120):
        chances = rng.uniform(0.6, 1.0, 40)
        right = rng.random((5, 40)) < chances
        rulings = [
            answer(f"r{who}", f"c{case}", bool(right[who, case]))
            for who in range(5)
            for case in range(40)
        ]
        found = accuracy(rulings, resamples=300).of_all
        assert isinstance(found, Estimate)
        covered.append(found.low <= 0.8 <= found.high)

    assert np.mean(covered) > 0.9
