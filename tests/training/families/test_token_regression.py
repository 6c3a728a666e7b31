"""Single tokens are drawn so that each answer counts as one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import token_regression
from training.families.family import Answers
from training.families.token_regression import TOKENS_MAX, TokenRegression, draw
from training.fit import solver_warnings_silenced

RESPONSE = Span("response")


def test_of_each_answer_so_many_different_tokens_are_drawn_and_count_as_one() -> None:
    answers = Answers(collected(dataset(10), lengths=[3, 40] * 10), SITES)

    sample = draw(answers, np.arange(20), RESPONSE, seed=0)

    assert np.bincount(sample.answers).tolist() == [3, TOKENS_MAX] * 10
    assert np.bincount(sample.answers, sample.weights) == pytest.approx(np.ones(20))
    assert len(np.unique(sample.readings.reshape(len(sample.readings), -1), axis=0)) == len(
        sample.readings
    )


def test_another_seed_draws_other_tokens_and_fits_another_probe() -> None:
    answers = Answers(collected(dataset(20), lengths=[40] * 40), SITES)

    fits = [
        TokenRegression(RESPONSE).fit(answers, np.arange(40), strength=1.0, seed=seed)
        for seed in (0, 0, 1)
    ]

    assert [np.array_equal(a.weights, b.weights) for a, b in pairwise(fits)] == [True, False]


def test_longer_answers_do_not_count_for_more() -> None:
    """Where misbehaving answers are longer, length alone would raise every score."""
    answers = Answers(collected(dataset(30), lengths=[2, 12] * 30), SITES)

    fitted = TokenRegression(RESPONSE).fit(answers, np.arange(60), strength=1e-6, seed=0)

    assert float(fitted.bias[0]) == pytest.approx(0.0, abs=0.01)


def test_a_fit_that_was_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, method = Answers(collected(dataset(20)), SITES), TokenRegression(RESPONSE)
    assert method.fit(answers, np.arange(40), strength=1.0, seed=0).converged
    monkeypatch.setattr(token_regression, "ITERATIONS_MAX", 1)

    with solver_warnings_silenced():
        cut = method.fit(answers, np.arange(40), strength=1.0, seed=0)

    assert not cut.converged
