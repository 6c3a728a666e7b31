"""Which seed is kept is decided on situations that were set aside."""

from __future__ import annotations

import numpy as np

from tests.training.examples import SITES, collected, dataset
from training.families.family import Answers
from training.families.validation import SEEDS, SHARE, best_of_seeds, set_aside


def test_what_is_set_aside_are_whole_situations_of_the_examples() -> None:
    """The twin of an example that was fitted on would praise whatever was learnt by heart."""
    answers, examples = Answers(collected(dataset(40)), SITES), np.arange(10, 70)

    train, validation = set_aside(answers, examples, seed=0)

    of = np.asarray(answers.dataset.situations)
    assert not set(of[train]) & set(of[validation])
    assert sorted([*train, *validation]) == examples.tolist()
    assert len(validation) == SHARE * len(examples)


def test_another_seed_sets_other_situations_aside() -> None:
    answers, examples = Answers(collected(dataset(40)), SITES), np.arange(80)

    first, again, other = (set_aside(answers, examples, seed=s) for s in (1, 1, 2))

    assert first.validation.tolist() == again.validation.tolist()
    assert first.validation.tolist() != other.validation.tolist()


def test_the_seed_with_the_lowest_validation_loss_is_kept() -> None:
    losses = dict(zip(range(7, 7 + SEEDS), (0.3, 0.1, 0.2), strict=True))

    kept = best_of_seeds(lambda seed: (losses[seed], f"of seed {seed}"), seed=7)

    assert kept == "of seed 8"
