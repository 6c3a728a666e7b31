"""The second regression learns from what the first did not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import stack
from training.families.family import Answers
from training.families.logistic_regression import find
from training.families.pooled import Plane
from training.families.stack import PARTS, Stack
from training.pool import Features, Pooling

METHOD = Stack(Span("response"))


def test_what_it_learns_from_was_said_of_other_situations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what they were fitted on all sites speak well, and noise would get a weight."""
    answers, seen = Answers(collected(dataset(30)), SITES), []
    pooled = answers.pooled(Pooling(METHOD.span))
    half = pooled.shape[1] // 2
    owner = {
        row[part].tobytes(): situation
        for row, situation in zip(pooled, answers.dataset.situations, strict=True)
        for part in (slice(half), slice(half, None))
    }

    class Watched:
        def __init__(self, plane: Plane, fitted_on: Features) -> None:
            self._plane = plane
            self._fitted_on = {owner[row.tobytes()] for row in fitted_on}

        def decision_function(self, features: Features) -> NDArray[np.float64]:
            seen.append(self._fitted_on & {owner[row.tobytes()] for row in features})
            return np.asarray(self._plane.estimator.decision_function(features))

    def watched(features: Features, *rest: Any) -> Plane:
        plane = find(features, *rest)
        return replace(plane, estimator=Watched(plane, features))

    monkeypatch.setattr(stack, "find", watched)
    METHOD.fit(answers, np.arange(60), strength=1.0, seed=0)

    assert seen == [set()] * PARTS * len(SITES)


def test_one_site_that_was_cut_short_is_enough_to_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, calls = Answers(collected(dataset(20)), SITES), 0

    def cut(*args: Any) -> Plane:
        nonlocal calls
        calls += 1
        return replace(find(*args), converged=calls != PARTS * len(SITES) + 1)

    monkeypatch.setattr(stack, "find", cut)

    fits = [METHOD.fit(answers, np.arange(40), strength=1.0, seed=0) for _ in range(2)]

    assert [fitted.converged for fitted in fits] == [False, True]
