"""Heads are trained on some situations, and stop and are chosen by others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import heads, multimax
from training.families.family import Answers
from training.families.heads import Channels, Head, Labels, There
from training.families.validation import SEEDS, set_aside

RESPONSE = Span("response")
HEAD = multimax.FAMILY.method(multimax.FAMILY.aggregator, RESPONSE)
EVERYTHING = np.arange(60)


def answers_of(lengths: list[int] | None = None) -> Answers:
    return Answers(collected(dataset(30), lengths=lengths or []), SITES)


def batches(answers: Answers) -> list[heads._Batches]:
    parts = set_aside(answers, EVERYTHING, seed=0)
    return [heads._Batches(answers, part, RESPONSE) for part in parts]


def test_the_layer_is_kept_as_it_was_at_its_lowest_validation_loss() -> None:
    """After it, each step learns the training answers by heart."""
    train, held = batches(answers_of())
    mean, scale = train.spread()

    lowest, layer = heads._train(HEAD, train, held, mean, scale, 1.0, 0)

    readings, there, labels = held.batch(0)
    with torch.no_grad():
        standard = (readings - torch.as_tensor(mean)) / torch.as_tensor(scale)
        found = HEAD.loss(layer(standard), there, labels)
    assert len(held) == 1
    assert float(found) == pytest.approx(lowest, abs=1e-6)


def passes(found: Callable[[int], float]) -> float:
    """Until a training ends whose losses are, from the first on, what `found` says."""
    losses = 0

    def flat(channels: Channels, there: There, labels: Labels) -> torch.Tensor:
        nonlocal losses
        losses += 1
        assert losses < 200, "it goes on and on"
        return channels.mean() * 0 + found(losses)

    train, held = batches(answers_of())
    heads._train(Head(RESPONSE, 1, flat), train, held, *train.spread(), 1.0, 0)
    return losses / (len(train) + len(held))


@pytest.mark.parametrize("limit", ["STEPS_MAX", "PATIENCE_STEPS"])
def test_training_ends(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "STEPS_MAX", 10_000)
    monkeypatch.setattr(heads, "PATIENCE_STEPS", 10_000)
    monkeypatch.setattr(heads, limit, 6)

    assert 6 <= passes(lambda n: 1.0 if limit == "PATIENCE_STEPS" else 1 / n) <= 8


def test_a_lower_validation_loss_begins_the_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from the beginning, a probe that still learns would be cut short."""
    monkeypatch.setattr(heads, "PATIENCE_STEPS", 6)

    assert passes(lambda n: 1 / min(n, 2 * 15)) == 15 + 6


def test_one_pass_without_a_lower_loss_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """On many answers a pass alone takes longer than the patience."""
    monkeypatch.setattr(heads, "BATCH_ANSWERS", 6)
    monkeypatch.setattr(heads, "PATIENCE_STEPS", 2)

    assert passes(lambda n: 1.0) == 1 + 2


def test_only_the_beginning_of_a_long_answer_is_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One endless answer would pad its whole batch."""
    monkeypatch.setattr(heads, "TOKENS_MAX", 20)
    answers = answers_of([5, 90] * 30)

    readings, there, _ = heads._Batches(answers, EVERYTHING[:6], RESPONSE).batch(0)

    assert readings.shape == (6, 20, 12)
    assert there.sum(dim=1).tolist() == [5, 5, 5, 20, 20, 20]
    np.testing.assert_array_equal(readings[0, :5], answers.tokens(0, RESPONSE).reshape(5, -1))


def test_batches_hold_every_answer_once() -> None:
    answers = answers_of()
    own = heads._Batches(answers, np.tile(EVERYTHING, 3), RESPONSE)

    sizes = [len(own.batch(number)[2]) for number in range(len(own))]

    assert sizes == [heads.BATCH_ANSWERS, heads.BATCH_ANSWERS, 180 - 2 * heads.BATCH_ANSWERS]


def test_another_seed_gives_another_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "STEPS_MAX", 2)
    answers = answers_of()

    fits = [HEAD.fit(answers, EVERYTHING, strength=1.0, seed=seed) for seed in (0, 0, 9)]

    assert [np.array_equal(a.weights, b.weights) for a, b in pairwise(fits)] == [True, False]


def test_the_best_of_several_seeds_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head begins at random weights, and some beginnings end badly."""
    monkeypatch.setattr(heads, "STEPS_MAX", 2)
    real, tried = heads._train, []

    def noted(
        head: Head, train: heads._Batches, held: heads._Batches, *rest: object
    ) -> tuple[float, torch.nn.Linear]:
        assert (len(train.batch(0)[2]), len(held.batch(0)[2])) == (48, 12)
        tried.append(real(head, train, held, *rest))  # type: ignore[arg-type]
        return tried[-1]

    monkeypatch.setattr(heads, "_train", noted)
    fitted = HEAD.fit(answers_of(), EVERYTHING, strength=1.0, seed=0)

    best = min(tried, key=lambda found: found[0])[1]
    assert len({lowest for lowest, _ in tried}) == SEEDS
    np.testing.assert_array_equal(fitted.estimator.weights, best.weight.detach().numpy())
