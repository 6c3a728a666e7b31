"""Every example is judged by a fit that has not seen its situation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from probing.estimates import auroc
from tests.training.examples import SITES, collected, dataset
from tests.training.experiments.examples import study
from training.datasets.schema import Dataset, Example
from training.experiments.layers import (
    Figures,
    carried_over,
    folds_of,
    held_out,
    over_folds,
    words_held_out,
)

DATA = dataset(60)


def test_a_site_that_tells_the_label_is_told_from_one_that_does_not() -> None:
    logits = held_out(study(), collected(DATA), SITES)

    noise, signal = (Figures.of(logits[site], DATA.labels) for site in SITES)
    assert signal.accuracy.value > 0.9
    assert signal.auroc.low > 0.9
    assert noise.auroc.low < 0.5 < noise.auroc.high


def test_what_a_situation_says_twice_cannot_be_remembered() -> None:
    """Two readings of one story on both sides of a split would be recognised, not judged."""
    told_twice = _one_label_per_situation(dataset(120))
    rng = np.random.default_rng(0)
    readings = np.repeat(rng.normal(size=(120, 300)), 2, axis=0).astype(np.float32)

    logits = over_folds(readings, told_twice.labels, folds_of(study(), told_twice), 0.1)

    area = auroc(logits, told_twice.labels)
    assert area.low < 0.5 < area.high


def test_a_probe_of_one_set_is_judged_on_another() -> None:
    fitting, test = collected(DATA), collected(dataset(30), seed=5)

    logits = carried_over(study(), fitting, test, SITES)

    assert {site: own.shape for site, own in logits.items()} == dict.fromkeys(SITES, (60,))
    assert Figures.of(logits[SITES[1]], test.dataset.labels).auroc.low > 0.9
    backwards = Figures.of(logits[SITES[1]], 1 - test.dataset.labels)
    assert backwards.auroc.high < 0.1, "labels of the set that is judged play no part"


def test_words_are_held_out_too() -> None:
    """The toy's words tell all; were the situations' names enough, this would not show it."""
    assert words_held_out(study(), DATA).auroc.value == 1.0


def _one_label_per_situation(data: Dataset) -> Dataset:
    def alike(example: Example) -> Example:
        bad = int(example.situation.split("-")[-1]) % 4 < 2
        kind = "benign_misbehaviour" if bad else "honest"
        return replace(example, label="misbehaving" if bad else "honest", kind=kind)

    return replace(data, examples=tuple(map(alike, data)))
