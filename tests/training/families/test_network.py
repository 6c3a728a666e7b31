"""The network's seeds are judged on situations that it did not learn from."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import network
from training.families.family import Answers, Examples
from training.families.network import Network
from training.families.validation import SEEDS, set_aside
from training.fit import solver_warnings_silenced

METHOD = Network(Span("response"))


def test_situations_set_aside_may_have_one_label_alone() -> None:
    answers = Answers(collected(dataset(5)), SITES)
    one_label_each = np.array([0, 3, 4, 7, 8])
    aside = set_aside(answers, one_label_each, seed=0).validation
    assert len(aside) == 1

    with solver_warnings_silenced():
        fitted = METHOD.fit(answers, one_label_each, strength=1.0, seed=0)

    assert np.isfinite(fitted.weights).all()


def test_the_seed_that_does_best_on_unseen_answers_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Chosen by what it learnt from, the one that learnt most by heart would win."""
    answers = Answers(collected(dataset(30), lengths=[1, 12] * 30), SITES)
    everything, tried, real = np.arange(60), [], network._trained

    def noted(*args: object) -> object:
        tried.append(real(*args))  # type: ignore[arg-type]
        return tried[-1]

    def best(part: Examples, *, answers_alike: bool = True) -> int:
        sample = network.draw(answers, part, METHOD.span, seed=6)
        truth = answers.labels[part][sample.answers]
        chances = [one.predict_proba(network.flat(sample.readings))[:, 1] for one in tried]
        weights = sample.weights if answers_alike else None
        return int(np.argmin([log_loss(truth, own, sample_weight=weights) for own in chances]))

    monkeypatch.setattr(network, "_trained", noted)
    monkeypatch.setattr(network, "EPOCHS_MAX", 3)
    with solver_warnings_silenced():
        fitted = METHOD.fit(answers, everything, strength=1.0, seed=6)

    train, aside = set_aside(answers, everything, seed=6)
    assert fitted.estimator[1] is tried[best(aside)][-1]
    assert len(tried) == SEEDS
    assert tried[0][0].n_samples_seen_ == sum(
        min(12, len(answers.tokens(e, METHOD.span))) for e in train.tolist()
    )
    assert best(aside) != best(train), "else this shows nothing"
    assert best(aside) != best(aside, answers_alike=False), "a longer answer counts as one"
