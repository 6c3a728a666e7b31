"""A probe has to beat the luckiest of many directions that nobody fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.probing.examples import probe
from tests.training.evaluation.readings import SUBJECT, all_signal, with_readings
from tests.training.examples import SITES
from training.collect import Collected
from training.evaluation.control import areas_of, figure_of
from training.evaluation.directions import random_directions, random_probes
from training.families.family import Answers
from training.pool import Pooling


def test_a_probe_beats_random_directions_where_one_number_tells() -> None:
    found = random_directions(SUBJECT, figure_of(SUBJECT))

    assert not found.warns
    assert found.figures["median"]["value"] == pytest.approx(0.5, abs=0.15)
    assert found.figures["chosen_on_fitting_set"]["value"] > 0.7
    chosen, luckiest = (
        found.figures[f"chosen_on_{part}_set"]["value"] for part in ("fitting", "test")
    )
    assert luckiest > chosen, "the best on the test set is not the one chosen before"


def test_a_probe_is_no_better_than_luck_where_every_number_tells() -> None:
    subject = with_readings(all_signal)

    found = random_directions(subject, figure_of(subject))

    assert found.figures["chosen_on_fitting_set"]["value"] > 0.99
    assert found.warns


def test_directions_are_random_in_standardised_readings() -> None:
    """Otherwise a few large numbers would decide all of them, and luck would look small."""

    def stretched(one: Collected) -> Collected:
        factors = np.logspace(-2, 2, 6, dtype=np.float32)
        return replace(one, shards=tuple(shard * factors + 5 for shard in one.shards))

    usual, other = (
        areas_of(change(SUBJECT.tests[1]), random_probes(SUBJECT.probe, fitting, count=9, seed=1))
        for change, fitting in (
            (lambda one: one, SUBJECT.fitting),
            (stretched, stretched(SUBJECT.fitting)),
        )
    )

    assert other == pytest.approx(usual, abs=1e-3)


def test_directions_go_through_the_middle_of_the_fitting_set() -> None:
    """Of several channels the one that lies highest would decide alone."""
    far = replace(SUBJECT.fitting, shards=tuple(shard + 50 for shard in SUBJECT.fitting.shards))

    for one in random_probes(SUBJECT.probe, far, count=5, seed=2):
        weights = np.concatenate([one.weights[site] for site in SITES], axis=1)
        logits = Answers(far, SITES).pooled(Pooling(one.span)) @ weights.T + one.bias
        assert logits.mean() == pytest.approx(0, abs=1e-3)


def test_a_number_that_never_changes_does_not_break_a_direction() -> None:
    shards = tuple(shard.copy() for shard in SUBJECT.fitting.shards)
    for shard in shards:
        shard[:, :, 2] = 7.0

    (found,) = random_probes(
        SUBJECT.probe, replace(SUBJECT.fitting, shards=shards), count=1, seed=0
    )

    assert all(np.isfinite(weights).all() for weights in found.weights.values())


def test_directions_are_lines_whatever_the_probe_is() -> None:
    """A second layer of the probe's would be fitted, and no luck."""
    network = probe(hidden=4, sites=SITES, d_model=6)

    (found,) = random_probes(network, SUBJECT.fitting, count=1, seed=0)

    assert found.readout is None
    assert found.weights[SITES[0]].shape == (1, 6)
