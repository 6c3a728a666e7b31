"""A fit, folded into plain weights, is the same function of the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from probing.aggregators import AggregatorSpec, running
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.collect import Collected
from training.families import logistic_path, logistic_regression
from training.families.family import Answers, Fitted
from training.families.logistic_path import find_path
from training.families.pooled import Plane, PooledPlane
from training.fit import as_probe
from training.pool import Features, Pooling, pool, pooling_for
from training.score import answer_lengths, answer_scores

RESPONSE = Span("response")

Labels = NDArray[np.int64]


def fitted_on(data: Collected, pooling: Pooling) -> Fitted:
    answers, everything = Answers(data, SITES), np.arange(len(data.dataset))
    return PooledPlane(logistic_regression.find, pooling).fit(
        answers, everything, strength=0.1, seed=0
    )


@pytest.mark.parametrize("aggregator", ["mean", "last", "tail_mean:4", "tail_concat:4"])
def test_the_last_live_statistic_is_the_pipelines_logit(aggregator: str) -> None:
    """Answers shorter than the tail are among them: what is not there must add nothing."""
    data = collected(dataset(40), lengths=[2, 3, 4, 9] * 20, prompt=2)
    pooling = pooling_for(AggregatorSpec.parse(aggregator), RESPONSE)
    features = pool(data, SITES, pooling)
    fitted = fitted_on(data, pooling)
    probe = as_probe(
        fitted, name="p", fingerprint="", sites=SITES, span=RESPONSE, tokens_min=1,
        aggregator=AggregatorSpec.parse(aggregator),
    )  # fmt: skip

    streams = np.split(answer_scores(data, [probe]), np.cumsum(answer_lengths(data))[:-1])

    found = [running(probe.aggregator, stream)[-1] for stream in streams]
    expected = fitted.estimator.decision_function(features.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_features_follow_the_span() -> None:
    data = collected(dataset(3), lengths=[4, 5, 6, 4, 5, 6], prompt=2)
    block = data.shards[0][0]

    first = {
        span: pool(data, SITES[:1], Pooling(Span.parse(span)))[0]
        for span in ("response", "tail:2", "prompt", "all")
    }
    side_by_side = pool(data, SITES[:1], Pooling(Span("tail", 5), side_by_side=True))

    np.testing.assert_allclose(first["response"], block[2:6].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(first["tail:2"], block[4:6].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(first["prompt"], block[:2].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(first["all"], block[:6].mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(side_by_side[1], block[8:13].reshape(-1))
    np.testing.assert_array_equal(side_by_side[0][6:], block[2:6].reshape(-1))
    np.testing.assert_allclose(
        side_by_side[0][:6], side_by_side[[1, 2, 4, 5], :6].mean(axis=0), rtol=1e-5
    )


def test_a_fit_that_did_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = collected(dataset(20))
    assert fitted_on(data, Pooling(RESPONSE)).converged
    monkeypatch.setattr(logistic_path, "STEPS_MAX", 1)

    assert not fitted_on(data, Pooling(RESPONSE)).converged


def test_a_path_gives_each_strength_the_fit_that_it_has_alone() -> None:
    """What a sweep compares is what is fitted again on everything, and then served."""
    answers, examples = Answers(collected(dataset(40)), SITES), np.arange(60)
    method = logistic_regression.FAMILY.method(AggregatorSpec.parse("tail_concat:3"), RESPONSE)
    strengths = (10.0, 0.01, 1.0)

    path = method.fit_path(answers, examples, strengths=strengths, seed=0)

    for strength, fitted in zip(strengths, path, strict=True):
        alone = method.fit(answers, examples, strength=strength, seed=0)
        np.testing.assert_allclose(fitted.weights, alone.weights, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(fitted.bias, alone.bias, rtol=1e-3, atol=1e-5)
    assert [fitted.estimator[-1].C for fitted in path] == list(strengths)


def test_a_path_is_found_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's speed hangs on it."""
    asked = []

    def noted(features: Features, labels: Labels, strengths: Sequence[float]) -> list[Plane]:
        asked.append(tuple(strengths))
        return find_path(features, labels, strengths)

    family = replace(logistic_regression.FAMILY, find_path=noted)
    method = family.method(AggregatorSpec.parse("mean"), RESPONSE)
    answers = Answers(collected(dataset(20)), SITES)
    method.fit_path(answers, np.arange(40), strengths=(0.1, 1.0), seed=0)

    assert asked == [(0.1, 1.0)]
