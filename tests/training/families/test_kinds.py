"""Probes with a channel for each kind of misbehaviour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import indicators, kinds
from training.families.family import Answers, ProbeFamily
from training.families.kinds import SILENT
from training.families.logistic_regression import find
from training.families.pooled import Plane
from training.fit import solver_warnings_silenced


@pytest.mark.parametrize("family", [kinds.FAMILY, indicators.FAMILY], ids=lambda f: f.name)
@pytest.mark.parametrize("families", [1, 3])
def test_a_kind_that_was_not_fitted_on_stays_silent(family: ProbeFamily, families: int) -> None:
    """In a fold without it, an unknown channel would decide at random."""
    data = collected(dataset(40, families=families + 1))
    answers = Answers(data, SITES)
    last = f"family-{families}"
    known = np.array([i for i, e in enumerate(data.dataset) if e.family != last])
    (spec,) = family.aggregators((), answers)

    fitted = family.method(spec, Span("response")).fit(answers, known, strength=1.0, seed=0)

    assert spec.channels == families + 1
    assert fitted.bias[-1] == SILENT
    assert not fitted.weights[:, -1].any()
    assert fitted.weights[:, :-1].any(axis=(0, 2)).all()


def test_a_channel_speaks_up_for_its_own_kind() -> None:
    data = collected(dataset(60, families=2))
    for number, (example, begin) in enumerate(
        zip(data.dataset, np.cumsum(data.lengths) - data.lengths, strict=True)
    ):
        if example.label == "misbehaving":
            feature = 1 + int(example.family[-1])
            data.shards[0][1, begin : begin + data.lengths[number], feature] += 6.0
    answers = Answers(data, SITES)
    (spec,) = kinds.FAMILY.aggregators((), answers)
    method = kinds.FAMILY.method(spec, Span("response"))
    fitted = method.fit(answers, np.arange(120), strength=1.0, seed=0)

    for example in (1, 3):
        tokens = answers.tokens(example, Span("response"))
        said = method.logits(fitted, tokens).mean(axis=0)
        assert int(said.argmax()) == int(data.dataset.examples[example].family[-1])


def test_an_indicator_is_fitted_against_what_is_honest_alone() -> None:
    """Fitted against other kinds too, it would call a misbehaviour that they share honest."""
    answers = Answers(collected(dataset(60, families=2)), SITES)
    (spec,) = indicators.FAMILY.aggregators((), answers)
    method = indicators.FAMILY.method(spec, Span("response"))
    fitted = method.fit(answers, np.arange(120), strength=1.0, seed=0)

    of_the_other_kind = answers.tokens(3, Span("response"))

    assert answers.dataset.examples[3].family == "family-1"
    assert method.logits(fitted, of_the_other_kind)[:, 0].mean() > 1


def test_one_indicator_that_was_cut_short_is_enough_to_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(collected(dataset(20, families=2)), SITES)
    cut = iter([False, True, True, True])

    def found(*args: Any) -> Plane:
        return replace(find(*args), converged=next(cut))

    monkeypatch.setattr(indicators, "find", found)
    method = indicators.Indicators(Span("response"))

    fits = [method.fit(answers, np.arange(40), strength=1.0, seed=0) for _ in range(2)]

    assert [fitted.converged for fitted in fits] == [False, True]


def test_a_regression_over_kinds_that_was_cut_short_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = Answers(collected(dataset(20)), SITES)
    method = kinds.Kinds(Span("response"))
    assert method.fit(answers, np.arange(40), strength=1.0, seed=0).converged
    monkeypatch.setattr(kinds, "ITERATIONS_MAX", 1)

    with solver_warnings_silenced():
        cut = method.fit(answers, np.arange(40), strength=1.0, seed=0)

    assert not cut.converged
