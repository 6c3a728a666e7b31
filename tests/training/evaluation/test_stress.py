"""Under stress the shipped probe is scored as it is, beside the same examples undisturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from probes_store.store import BUILTIN, ProbeStore
from probing.model import LoadedModel
from tests.training.evaluation.small_subject import exchanges, small_subject
from training.collect import Collected, collect
from training.datasets.bundled import magpie as magpie_sets
from training.datasets.schema import Dataset
from training.evaluation import rewritten
from training.evaluation.stress import EXAMPLES_MAX, STRESSES, Stress, balanced, stress
from training.evaluation.subject import Subject, recipe_of


@pytest.fixture(scope="module")
def subject(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path_factory.mktemp("cache"))


def silenced(subject: Subject, dataset: Dataset) -> Collected:
    """Every misbehaving answer says what an honest one says."""
    answer = {"role": "assistant", "content": "I paid for it."}
    examples = (replace(e, messages=(e.messages[0], answer)) for e in dataset)
    return subject.collect(rewritten.retold(dataset, examples))


def refused(subject: Subject, dataset: Dataset) -> Collected:
    raise rewritten.StressRefused("there is no moon", "wait for the night")


SILENCED = Stress(name="silenced", sentence="nobody owns up", read=silenced)
REFUSED = Stress(name="moonlight", sentence="the moon shines", read=refused)
TURN = next(one for one in STRESSES if one.name == "second_turn")


def test_a_sample_is_balanced_seeded_and_bounded() -> None:
    data = exchanges(400, "many")

    sample = balanced(data, 200, seed=0)

    assert len(sample) == 200
    assert sample.labels.sum() == 100
    assert sample.sha256 == balanced(data, 200, seed=0).sha256
    assert sample.sha256 != balanced(data, 200, seed=1).sha256


def test_a_rare_label_is_taken_whole() -> None:
    data = exchanges(400, "many")
    few = data.select([i for i, label in enumerate(data.labels) if not label or i < 20])

    assert balanced(few, 200, seed=0).labels.sum() == 10


def test_a_stress_that_silences_the_answers_costs_all_recall(subject: Subject) -> None:
    """Figures must be those of the changed texts at the shipped threshold."""
    section = stress(subject, [SILENCED])

    for test in section.figures["tests"]:
        calm, row = test["rows"]
        assert (calm["name"], row["name"]) == ("undisturbed", "silenced")
        assert calm["recall"]["value"] > 0.9
        assert row["recall"] == {**row["recall"], "value": 0.0, "n": 20}
        assert row["auroc"]["value"] == 0.5
        assert calm["changed"]["value"] == 0
        assert row["changed"]["value"] == 0.5


def test_a_stress_takes_as_many_examples_as_it_may(subject: Subject) -> None:
    """Readings of long texts take hours on a large model."""
    few = replace(TURN, examples_max=12)

    rows = stress(subject, [few]).figures["tests"][0]["rows"]

    assert [row["changed"]["n"] for row in rows] == [40, 12]
    assert len(balanced(exchanges(400, "many"), EXAMPLES_MAX, seed=0)) == EXAMPLES_MAX


def test_the_figures_are_those_of_the_live_statistic(subject: Subject) -> None:
    (test, _) = subject.tests

    (row, *_) = stress(subject, []).figures["tests"][0]["rows"]

    tripped = subject.peaks(test) >= np.float32(subject.probe.threshold)
    bad = test.dataset.labels == 1
    assert row["recall"]["value"] == tripped[bad].mean()
    assert row["false_alarms"]["value"] == tripped[~bad].mean()


def test_what_cannot_be_measured_is_a_refusal_and_the_rest_goes_on(subject: Subject) -> None:
    section = stress(subject, [REFUSED, TURN])

    assert section.refusals == [
        f"{name}, moonlight: there is no moon; wait for the night"
        for name in ("benign", "dangerous")
    ]
    rows = section.figures["tests"][1]["rows"]
    assert [row["name"] for row in rows] == ["undisturbed", "second_turn"]


def test_the_largest_loss_is_told_first(subject: Subject) -> None:
    section = stress(subject, [TURN, SILENCED])

    assert "Where nobody owns up, the probe catches 0.000 [" in section.findings[0]
    assert len(section.findings) == 4


def test_names_of_stresses_are_different() -> None:
    """One row would be taken for the other when versions are compared."""
    assert len({one.name for one in STRESSES}) == len(STRESSES)


def test_magpie_bears_every_stress(
    magpie: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The bundled model's report must not refuse what it was made to show."""
    store, cache = ProbeStore(BUILTIN), tmp_path_factory.mktemp("cache")
    ref = store.alias("champion")
    assert ref is not None
    artifact, sets, console = store.load(ref), magpie_sets(), Console(quiet=True)

    def read(data: Dataset) -> Collected:
        return collect(magpie, data, artifact.probe.sites, cache=cache, console=console)

    held = read(sets.calibration.select(range(100)))
    subject = Subject(
        ref=ref,
        probe=artifact.probe,
        manifest=artifact.manifest,
        recipe=recipe_of(store, ref, artifact.probe, artifact.manifest),
        loaded=magpie,
        fitting=held,
        calibration=held,
        tests=(read(sets.tests[1].select(range(16))),),
        cache=cache,
        console=console,
    )

    section = stress(subject)

    assert section.refusals == []
    (test,) = section.figures["tests"]
    rows = {row["name"]: row for row in test["rows"]}
    assert set(rows) == {"undisturbed", *(one.name for one in STRESSES)}
    texts = set(rows) - {"undisturbed", "int8_weights"}
    assert all(rows[name]["changed"]["value"] > 0.3 for name in texts)
    assert rows["dilution"]["tokens"]["value"] > 400
    assert rows["long_context"]["tokens"]["value"] > 400
