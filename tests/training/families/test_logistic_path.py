"""A path of fits is, strength by strength, the optimum that scikit-learn would find."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import training.families.logistic_path as module
from training.families.logistic_path import find_path
from training.families.pooled import Plane

STRENGTHS = (1e-5, 1e-3, 0.1, 1.0, 10.0, 100.0)

LABELS = np.array([1, 0, 0, 1])

Set = tuple[NDArray[np.float32], NDArray[np.int64]]


def drawn(
    examples: int, width: int, *, steepness: float = 3.0, rare: float = 0.0, decay: float = 0.7
) -> Set:
    """Readings whose variances fall off along random axes, with uncertain labels."""
    rng = np.random.default_rng(0)
    along = rng.normal(size=(examples, width))
    axes = np.linalg.qr(rng.normal(size=(width, width)))[0]
    logits = along @ rng.normal(0, steepness / np.sqrt(width), width) - rare
    labels = (rng.random(examples) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    deviations = np.arange(1, width + 1) ** -decay
    return (5 + along * deviations @ axes).astype(np.float32), labels


def separable() -> Set:
    """Told apart without error, so that only the penalty keeps the normal short."""
    features, _ = drawn(300, 40)
    return features, (features[:, 3] > np.median(features[:, 3])).astype(np.int64)


def with_odd_columns() -> Set:
    """A feature that never varies, one that is always 0, and some that stand there twice."""
    features, labels = drawn(300, 40)
    features[:, 3], features[:, 5], features[:, 10:15] = 7.5, 0, features[:, 15:20]
    return features, labels


SETS = {
    "more examples than features": drawn(800, 60),
    "as many examples as features": drawn(90, 90),
    "fewer examples than features": drawn(60, 400),
    "separable": separable(),
    "one label is rare": drawn(600, 60, rare=4.0),
    "odd columns": with_odd_columns(),
    "a few directions hold all the variance": drawn(2000, 256, decay=2.0),
}


def logits(plane: Plane, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return (features.astype(np.float64) - plane.centre) @ plane.normal + plane.intercept


def optimum(features: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> Plane:
    """As scikit-learn finds it, to the last digits."""
    exact = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-11, max_iter=1000)
    return make_pipeline(StandardScaler(), exact).fit(features.astype(np.float64), labels)


@pytest.mark.parametrize("name", SETS)
def test_every_strength_gives_scikit_learns_optimum(name: str) -> None:
    """A sweep that stops early would choose among unfinished fits."""
    features, labels = SETS[name]

    planes = find_path(features, labels, STRENGTHS)

    for strength, plane in zip(STRENGTHS, planes, strict=True):
        expected = optimum(features, labels, strength).decision_function(features.astype(float))
        difference = np.abs(logits(plane, features) - expected).max()
        assert plane.converged
        assert difference <= 1e-5 * max(1.0, np.abs(expected).max()), strength


def test_strengths_do_not_change_each_other() -> None:
    """They are solved side by side and end at different steps."""
    features, labels = SETS["separable"]

    together = find_path(features, labels, STRENGTHS)

    for strength, plane in zip(STRENGTHS, together, strict=True):
        (alone,) = find_path(features, labels, [strength])
        np.testing.assert_allclose(logits(plane, features), logits(alone, features), atol=1e-4)
        assert plane.estimator[-1].n_iter_ == alone.estimator[-1].n_iter_
    reversed_path = find_path(features, labels, STRENGTHS[::-1])
    assert [p.estimator[-1].C for p in reversed_path] == list(STRENGTHS[::-1])
    for plane, same in zip(together, reversed_path[::-1], strict=True):
        np.testing.assert_allclose(logits(plane, features), logits(same, features), atol=1e-4)


def test_there_are_no_more_unknowns_than_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tails side by side have so many features that their covariance would fill the memory."""
    shapes, real = [], module._Problem.of

    def noted(readings: NDArray[np.float64], *rest: Any) -> module._Problem:
        shapes.append(readings.shape)
        return real(readings, *rest)

    monkeypatch.setattr(module._Problem, "of", noted)
    find_path(*SETS["fewer examples than features"], [1.0])

    assert shapes == [(60, 60)]


def test_the_estimator_says_what_the_plane_says_also_after_pickling() -> None:
    """It is published as probe.joblib, and its logits are what the exports are held against."""
    features, labels = SETS["more examples than features"]
    plane = find_path(features, labels, [0.1])[0]
    kept = io.BytesIO()
    joblib.dump(plane.estimator, kept)
    kept.seek(0)

    restored = joblib.load(kept)

    np.testing.assert_allclose(
        restored.decision_function(features.astype(float)), logits(plane, features), atol=1e-9
    )
    assert restored.predict(features).tolist() == (logits(plane, features) > 0).tolist()
    assert restored.score(features, labels) > 0.6
    assert restored[-1].n_iter_[0] < module.STEPS_MAX


def test_a_path_that_is_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that is not the optimum must not look like one."""
    features, labels = SETS["separable"]
    monkeypatch.setattr(module, "STEPS_MAX", 4)

    planes = find_path(features, labels, STRENGTHS)

    assert [plane.converged for plane in planes] == [True] * 2 + [False] * 4


def test_a_strength_that_is_solved_exactly_waits_for_the_others() -> None:
    """Its next conjugate gradient would be 0 / 0, and its weights no numbers."""
    problem = module._Problem.of(np.array([[1.0], [-1.0], [1.0], [-1.0]]), LABELS, [1e-6, 1.0])
    gradient = np.array([[0.0, 1.0], [0.0, 2.0]])

    step = problem._newton_step(np.array([[0.25, 0.1]] * 3 + [[0.25, 0.2]]), gradient)

    assert step[:, 0].tolist() == [0.0, 0.0]
    assert np.isfinite(step).all()


def test_what_is_no_number_is_never_converged() -> None:
    """nan <= limit is False, and so is nan > limit: which of the two is asked matters."""
    features, labels = SETS["separable"]
    problem = module._Problem.of(features.astype(np.float64), labels, [1.0, 10.0])

    with np.errstate(invalid="ignore"):
        broken = replace(problem, readings=problem.readings * np.nan).solved()

    assert not broken[2].any()


def test_a_step_that_would_overshoot_is_shortened() -> None:
    """Undamped, Newton's method runs away from a start where it is too sure."""
    features, labels = SETS["separable"]
    readings = StandardScaler().fit_transform(features.astype(np.float64))
    problem = module._Problem.of(readings, labels, [100.0])
    far = np.zeros_like(problem.penalties)
    far[3] = -60.0
    logits_there = problem.readings @ far

    before = problem._loss(far, logits_there)
    at = problem._step(far, logits_there)

    assert problem._loss(at.weights, at.logits) < before


def test_what_rounding_adds_to_the_loss_shortens_no_step() -> None:
    """At the optimum the loss no longer falls, and the last step would be halved to nothing."""
    features, labels = SETS["separable"]
    readings = StandardScaler().fit_transform(features.astype(np.float64))
    problem = module._Problem.of(readings, labels, [1.0] * 20)
    weights = problem.solved()[0]
    step = np.random.default_rng(0).normal(0, 1e-9, weights.shape)

    length = problem._length(
        weights, problem.readings @ weights, step, problem.readings @ step, np.zeros(20)
    )

    assert length.tolist() == [1.0] * 20


def test_conjugate_gradients_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding may keep them from the share that is asked for."""
    features, labels = SETS["separable"]
    problem, images, real = module._Problem.of(features, labels, [1.0]), 0, module._Problem._image

    def noted(own: module._Problem, *rest: Any) -> NDArray[np.float64]:
        nonlocal images
        images += 1
        assert images <= 7, "they go on and on"
        return real(own, *rest)

    monkeypatch.setattr(module._Problem, "_image", noted)
    monkeypatch.setattr(module, "FORCING", 0.0)
    monkeypatch.setattr(module, "GRADIENTS_MAX", 7)
    problem._newton_step(np.full((300, 1), 0.25), np.ones((41, 1)))

    assert images == 7


def test_the_loss_counts_the_normals_penalty_and_not_the_intercepts() -> None:
    """A step is shortened by it: without the penalty, one that lengthens the normal looks good."""
    problem = module._Problem.of(np.array([[1.0], [-1.0], [1.0], [-1.0]]), LABELS, [0.5])

    loss = problem._loss(np.array([[3.0], [2.0]]), np.zeros((4, 1)))

    assert loss == pytest.approx([np.log(2) + 3.0**2 / (2 * 4 * 0.5)])
