"""Labels that mean nothing can be remembered or hit by chance, and both are seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from probing.estimates import Estimate
from tests.training.evaluation.readings import (
    SUBJECT,
    WIDE,
    remembered,
    with_readings,
    without_signal,
)
from tests.training.examples import SITES, dataset
from training.collect import Collected
from training.evaluation.control import ControlUndefined, figure_of
from training.evaluation.random_labels import (
    control_task,
    difference,
    halves,
    owners_of,
    relabelling,
    shuffled,
    shuffled_labels,
)
from training.families import kinds
from training.families.family import Answers


def test_a_probe_that_reads_the_label_is_selective() -> None:
    found = control_task(SUBJECT)

    assert not found.warns
    assert found.figures["task"]["value"] > 0.95
    assert found.figures["control"]["low"] < 0.5 < found.figures["control"]["high"]
    assert found.figures["selectivity"]["low"] > 0.1
    assert found.figures["situations"] == 60


def test_a_probe_that_remembers_is_called_meaningless_however_good_its_figure() -> None:
    """Its AUROC says nothing of misbehaviour: the same recipe learns any labels at all."""
    found = control_task(with_readings(remembered, SITES[:1]))

    assert found.figures["task"]["value"] > 0.95
    assert found.figures["control"]["value"] > 0.95
    assert found.figures["selectivity"]["value"] < 0.1
    assert found.warns
    assert found.sentence.startswith("The probe is meaningless")


def test_what_is_scored_was_not_fitted_on() -> None:
    """On what it has seen, a recipe with more numbers than answers tells any labels."""

    def noise(one: Collected) -> Collected:
        wide = np.random.default_rng(3).normal(size=(1, int(one.lengths.sum()), 20 * WIDE))
        return replace(one, sites=SITES[:1], shards=(wide.astype(np.float32),))

    found = control_task(with_readings(noise, SITES[:1]))

    assert found.figures["task"]["value"] < 0.75
    assert found.figures["control"]["value"] < 0.75


def test_every_situation_is_on_both_sides_of_the_control_task() -> None:
    """A random label whose situation was never fitted on could not be learnt by anyone."""
    fit, held = halves(SUBJECT.fitting.dataset, np.random.default_rng(0))

    situations = np.array(SUBJECT.fitting.dataset.situations)
    assert set(situations[fit]) == set(situations[held]) == set(situations)
    assert not set(fit.tolist()) & set(held.tolist())


def test_situations_with_one_answer_each_have_no_control_task() -> None:
    alone = replace(SUBJECT.fitting, dataset=dataset(60).only("honest"))

    with pytest.raises(ControlUndefined, match="10 situations with two answers or more"):
        control_task(replace(SUBJECT, fitting=alone))


def test_answers_of_one_label_have_no_control_task() -> None:
    honest = relabelling(Answers(SUBJECT.fitting, SITES))(np.zeros(120, dtype=np.int64)).dataset

    with pytest.raises(ControlUndefined, match="both labels"):
        control_task(replace(SUBJECT, fitting=replace(SUBJECT.fitting, dataset=honest)))


def test_a_difference_has_the_squared_and_added_interval() -> None:
    first = Estimate(value=0.9, low=0.86, high=0.93, n=50)
    second = Estimate(value=0.5, low=0.4, high=0.53, n=50)

    found = difference(first, second)

    assert (found.value, found.low, found.high) == pytest.approx(
        (0.4, 0.35, 0.4 + 0.1044), abs=1e-4
    )


def test_shuffling_keeps_the_design_balanced() -> None:
    """Unbalanced labels would give refits that are worse for want of examples, not of sense."""
    mixed, alone = dataset(30), dataset(60).only("honest")
    pure = tuple(
        replace(e, id=f"p{e.id}", situation=f"p{n}", label=("honest", "misbehaving")[n % 3 == 0])
        for n, e in enumerate(alone)
    )
    data = replace(mixed, examples=(*mixed.examples, *pure))

    labels = shuffled(data.labels, owners_of(data), np.random.default_rng(1))

    assert np.all(labels[:60].reshape(30, 2).sum(axis=1) == 1)
    assert 5 < (labels[:60] != data.labels[:60]).sum() / 2 < 25
    assert labels[60:].sum() == data.labels[60:].sum() == 20
    assert (labels[60:] != data.labels[60:]).any()


def test_relabelled_answers_say_so_everywhere_and_leave_the_first_alone() -> None:
    """Families that go by kind or label read the set itself; one that kept the true labels
    would be refitted on the truth."""
    answers = Answers(SUBJECT.fitting, SITES)

    other = relabelling(answers)(1 - answers.labels)

    assert other.labels.tolist() == other.dataset.labels.tolist() == (1 - answers.labels).tolist()
    assert answers.labels.tolist() == answers.dataset.labels.tolist()
    assert answers.dataset.labels.tolist() == SUBJECT.fitting.dataset.labels.tolist()
    kinds = {(e.label, e.kind) for e in other.dataset}
    assert kinds == {("honest", "honest"), ("misbehaving", "benign_misbehaviour")}


def test_readings_with_signal_beat_shuffled_labels() -> None:
    found = shuffled_labels(SUBJECT, figure_of(SUBJECT), refits=100)

    assert found.figures["p_value"] == pytest.approx(1 / 101)
    assert found.figures["reached"]["n"] == found.figures["null_median"]["n"] == 100
    assert not found.warns


def test_readings_without_signal_do_not_beat_shuffled_labels() -> None:
    subject = with_readings(without_signal)

    found = shuffled_labels(subject, figure_of(subject), refits=100)

    assert found.figures["p_value"] > 0.1
    assert len(set(found.figures["null"])) > 50, "each refit has labels of its own"
    assert found.warns


def test_a_probe_that_was_fitted_on_shuffled_labels_is_caught() -> None:
    """Its readings hold the truth, and it was taught something else."""
    answers = Answers(SUBJECT.fitting, SITES)
    owners, rng = owners_of(answers.dataset), np.random.default_rng(5)
    taught = relabelling(answers)(shuffled(answers.labels, owners, rng))
    probe = SUBJECT.recipe.fit(taught, np.arange(len(taught.labels)))
    subject = replace(SUBJECT, probe=probe)

    found = shuffled_labels(subject, figure_of(subject), refits=100)

    assert found.figures["p_value"] > 0.05
    assert found.warns


def test_refits_that_do_just_as_well_count_against_the_probe() -> None:
    """Where nothing is told all areas are one half, and that is what chance gives."""
    subject = with_readings(lambda one: replace(one, shards=tuple(s * 0 for s in one.shards)))

    found = shuffled_labels(subject, figure_of(subject), refits=20)

    assert found.figures["probe"]["value"] == 0.5
    assert (found.figures["reached"]["value"], found.figures["p_value"]) == (1, 1)


def test_a_family_that_takes_long_is_refitted_as_often_as_shows_anything() -> None:
    """With 18 refits no p-value would be 0.05, whatever the probe does."""
    answers = Answers(SUBJECT.fitting, SITES)
    (aggregator,) = kinds.FAMILY.aggregators((), answers)
    recipe = replace(SUBJECT.recipe, family=kinds.FAMILY, aggregator=aggregator)

    quick = shuffled_labels(SUBJECT, figure_of(SUBJECT))
    slow = shuffled_labels(replace(SUBJECT, recipe=recipe), figure_of(SUBJECT))

    assert (quick.figures["refits"], slow.figures["refits"]) == (100, 19)
    assert not slow.warns
