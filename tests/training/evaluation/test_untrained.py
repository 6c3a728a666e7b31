"""A model that has learnt nothing shows what is in the words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import training.evaluation.untrained as twins
from probing.model import LoadedModel, describe
from probing.spec import Site
from tests.training.evaluation.examples import toy_test
from tests.training.evaluation.readings import SUBJECT, without_signal
from tests.training.examples import collected, dataset
from training.datasets.schema import Dataset
from training.evaluation.control import ControlUndefined, figure_of
from training.evaluation.subject import Subject
from training.evaluation.untrained import some_situations, untrained, untrained_model
from training.families.family import Answers


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


def test_the_model_itself_is_judged_by_a_refit_on_the_same_few_answers(read: Subject) -> None:
    """The shipped probe has seen more of them, and an untrained model would look worse for it."""
    deaf = replace(read.probe, weights={s: 0 * w for s, w in read.probe.weights.items()})
    subject = replace(read, probe=deaf)

    found = untrained_model(subject, figure_of(subject))

    assert figure_of(subject).auroc.value == 0.5
    assert found.figures["trained"]["value"] > 0.95


def test_an_untrained_model_that_finds_nothing_does_not_speak_against_the_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = SimpleNamespace(spec=SimpleNamespace(fingerprint="blank"))
    monkeypatch.setattr(twins, "untrained", lambda loaded, seed: twin)
    monkeypatch.setattr(
        twins, "collect", lambda twin, data, *_, **__: without_signal(collected(data))
    )

    found = untrained_model(SUBJECT, figure_of(SUBJECT))

    assert found.figures["untrained"]["value"] < 0.7
    assert not found.warns


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
