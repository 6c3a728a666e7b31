"""Each control is broken on purpose here, and has to say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import training.evaluation.control as shared
import training.evaluation.untrained as twins
from probing.estimates import Estimate, auroc
from probing.model import LoadedModel, describe
from probing.prompt import Rendered
from probing.spec import Site
from tests.training.evaluation.examples import toy_subject, toy_test
from tests.training.examples import SITES, collected, dataset
from training.collect import Collected
from training.datasets.schema import Dataset
from training.evaluate import BagOfWords
from training.evaluation.control import ControlUndefined, areas_of, figure_of
from training.evaluation.controls import controls
from training.evaluation.directions import random_directions, random_probes
from training.evaluation.overlap import bag_of_words
from training.evaluation.random_labels import (
    control_task,
    difference,
    halves,
    relabelled,
    shuffled,
    shuffled_labels,
)
from training.evaluation.subject import Subject
from training.evaluation.untrained import some_situations, untrained, untrained_model
from training.families.family import Answers

SUBJECT = toy_subject()
WIDE = 128


def with_readings(
    change: Callable[[Collected], Collected], sites: Sequence[Site] = SITES
) -> Subject:
    """The toy subject on other readings, its probe fitted on them."""
    fitting = change(SUBJECT.fitting)
    recipe = replace(SUBJECT.recipe, sites=tuple(sites))
    probe = recipe.fit(Answers(fitting, sites), np.arange(len(fitting.dataset)))
    tests = tuple(map(change, SUBJECT.tests))
    return replace(SUBJECT, fitting=fitting, recipe=recipe, probe=probe, tests=tests)


def without_signal(one: Collected) -> Collected:
    """Noise alone."""
    rng = np.random.default_rng(len(one.dataset.name))
    noise = tuple(rng.normal(size=s.shape).astype(np.float32) for s in one.shards)
    return replace(one, shards=noise)


def all_signal(one: Collected) -> Collected:
    """Every number tells the label."""
    told = np.repeat(one.dataset.labels, one.lengths)[:, None].astype(np.float32)
    return replace(one, shards=tuple(shard + 6 * told for shard in one.shards))


def remembered(one: Collected) -> Collected:
    """A quarter of the numbers tells the label, and all of them the situation."""
    rng = np.random.default_rng(0)
    known = {name: rng.normal(size=WIDE) for name in dict.fromkeys(one.dataset.situations)}
    rows = []
    for example, label in zip(one.dataset, one.dataset.labels, strict=True):
        vector = known[example.situation].copy()
        vector[: WIDE // 4] += 3 * label
        rows.append(np.tile(vector, (3, 1)))
    n = len(rows)
    return Collected(
        dataset=one.dataset,
        rendered=[Rendered((0, 1, 2), 0)] * n,
        sites=(SITES[0],),
        starts=np.zeros(n, dtype=np.int64),
        lengths=np.full(n, 3),
        shards=(np.concatenate(rows)[None].astype(np.float32),),
    )


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
    honest = relabelled(Answers(SUBJECT.fitting, SITES), np.zeros(120, dtype=np.int64)).dataset

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

    labels = shuffled(data, np.random.default_rng(1))

    assert np.all(labels[:60].reshape(30, 2).sum(axis=1) == 1)
    assert 5 < (labels[:60] != data.labels[:60]).sum() / 2 < 25
    assert labels[60:].sum() == data.labels[60:].sum() == 20
    assert (labels[60:] != data.labels[60:]).any()


def test_relabelled_answers_say_so_everywhere_and_leave_the_first_alone() -> None:
    """Families that go by kind or label read the set itself; one that kept the true labels
    would be refitted on the truth."""
    answers = Answers(SUBJECT.fitting, SITES)

    other = relabelled(answers, 1 - answers.labels)

    assert other.labels.tolist() == other.dataset.labels.tolist() == (1 - answers.labels).tolist()
    assert answers.labels.tolist() == answers.dataset.labels.tolist()
    assert answers.dataset.labels.tolist() == SUBJECT.fitting.dataset.labels.tolist()


def test_readings_with_signal_beat_shuffled_labels() -> None:
    found = shuffled_labels(SUBJECT, figure_of(SUBJECT), refits=100)

    assert found.figures["p_value"] == pytest.approx(1 / 101)
    assert found.figures["reached"]["n"] == found.figures["null_median"]["n"] == 100
    assert not found.warns


def test_readings_without_signal_do_not_beat_shuffled_labels() -> None:
    subject = with_readings(without_signal)

    found = shuffled_labels(subject, figure_of(subject), refits=100)

    assert found.figures["p_value"] > 0.1
    assert found.warns


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


@pytest.mark.parametrize("numbers", [1, 3_200, 25_000_000])
def test_areas_are_those_of_each_probe_alone(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few probes fit into memory at a time."""
    monkeypatch.setattr(shared, "SCORES_MAX", numbers)
    like = replace(SUBJECT.probe, tokens_min=8)
    probes = random_probes(like, SUBJECT.fitting, count=7, seed=3)
    test = SUBJECT.tests[1]

    found = areas_of(test, probes)

    alone = [auroc(replace(SUBJECT, probe=one).peaks(test), test.dataset.labels) for one in probes]
    assert found == pytest.approx([area.value for area in alone], abs=1e-9)


@pytest.fixture
def read(tiny: Callable[[str], LoadedModel], tmp_path: Path) -> Subject:
    """The toy texts, read by a small model with random weights: their bytes tell the label."""
    bare = replace(SUBJECT, loaded=tiny("gpt2"), cache=tmp_path)
    site = Site(1, "hook_resid_post")
    recipe = replace(SUBJECT.recipe, sites=(site,))
    probe = replace(SUBJECT.probe, weights={site: np.zeros((1, 64), dtype=np.float32)})
    asked = replace(bare, recipe=recipe, probe=probe)
    fitting, test = (asked.collect(one) for one in (dataset(20), toy_data("apart")))
    probe = recipe.fit(Answers(fitting, recipe.sites), np.arange(len(fitting.dataset)))
    return replace(asked, probe=probe, fitting=fitting, tests=(test,))


def toy_data(name: str) -> Dataset:
    """Texts of other situations, in no order."""
    data = toy_test(name, count=20, seed=0).dataset
    return data.select(np.random.default_rng(0).permutation(len(data)).tolist())


def test_where_words_tell_an_untrained_model_does_as_well(
    read: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs no understanding is no evidence of any."""
    monkeypatch.setattr(twins, "READ_MAX", 30)

    found = untrained_model(read, figure_of(read))

    assert found.figures["untrained"]["value"] > 0.95
    assert found.figures["trained"]["value"] > 0.95, "answers and labels are out of step"
    assert found.figures["trained"]["n"] == found.figures["fitted_on"] == 30
    assert found.warns


def test_an_untrained_model_is_another_one_and_the_first_is_left_alone(read: Subject) -> None:
    first = untrained(read.loaded, seed=4)
    torch.rand(1)
    chance = torch.get_rng_state()

    second = untrained(read.loaded, seed=4)

    assert first.spec.weights != read.loaded.spec.weights
    assert first.spec.config == read.loaded.spec.config
    assert first.spec == second.spec, "the same seed gives the same model"
    now = describe(read.loaded.model, read.loaded.tokenizer, "float32")
    assert now == read.loaded.spec
    assert torch.equal(torch.get_rng_state(), chance)


def test_a_model_too_large_for_a_second_one_is_refused(
    read: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that runs out of memory loses the whole evaluation."""
    monkeypatch.setattr(twins, "PARAMETERS_MAX", 1000)

    with pytest.raises(ControlUndefined, match="of at most 1,000 parameters"):
        untrained(read.loaded, seed=0)


def test_an_untrained_model_reads_whole_situations_and_few_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(twins, "READ_MAX", 11)

    chosen = some_situations(dataset(60), seed=0)

    assert len(chosen) == 10
    assert len({dataset(60).situations[i] for i in chosen}) == 5


def test_words_that_tell_as_much_speak_against_the_probe() -> None:
    words = BagOfWords(SUBJECT.fitting.dataset)

    found = bag_of_words(figure_of(SUBJECT), words)

    assert found.figures["words"]["value"] == 1
    assert found.warns


def test_the_section_says_first_what_speaks_against_the_probe() -> None:
    """A reader who stops after one sentence must have read the worst."""
    section = controls(SUBJECT)

    warned = [figures["warns"] for figures in section.figures.values()]
    assert sorted(section.figures) == [
        "bag_of_words", "control_task", "leak_filter", "near_duplicates", "random_directions",
        "shuffled_labels",
    ]  # fmt: skip
    assert len(section.findings) == len(warned)
    assert not warned[0], "the first that is measured is not the worst here"
    assert sum(warned) == 3
    assert section.findings[3].startswith("The recipe's selectivity is")
    assert section.refusals == [
        "untrained model: needs the model, and there is none; name it with --model"
    ]
    json.dumps(section.as_json(), allow_nan=False)


def test_without_a_test_set_what_can_be_measured_is() -> None:
    """One control that cannot be measured must not lose the others."""
    section = controls(replace(SUBJECT, tests=()))

    assert set(section.figures) == {"control_task", "near_duplicates"}
    assert section.refusals == [
        "all other controls: needs a test set, and there is none; name one with --test-data"
    ]


def test_a_judge_joins_the_controls(tmp_path: Path) -> None:
    section = controls(SUBJECT, judge=tmp_path / "nowhere.jsonl")

    assert any(sentence.startswith("judge: cannot read") for sentence in section.refusals)


def test_controls_are_held_against_the_dangerous_set() -> None:
    assert figure_of(SUBJECT).name == "dangerous"
    assert figure_of(replace(SUBJECT, tests=SUBJECT.tests[:1])).name == "benign"
    assert figure_of(SUBJECT).auroc == auroc(
        SUBJECT.peaks(SUBJECT.tests[1]), collected(SUBJECT.tests[1].dataset).dataset.labels
    )
