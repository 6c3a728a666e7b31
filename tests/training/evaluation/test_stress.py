"""Under stress the shipped probe is scored as it is, beside the same examples undisturbed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from probes_store.store import BUILTIN, ProbeStore
from probing.model import LoadedModel
from tests.training.evaluation.small_subject import BAD_ANSWER, exchanges, small_subject
from training.collect import Collected, collect
from training.datasets.bundled import magpie as magpie_sets
from training.datasets.schema import Dataset
from training.evaluation import rewritten
from training.evaluation.reloaded import Read
from training.evaluation.run import tell
from training.evaluation.stress import (
    EXAMPLES_MAX,
    STRESSES,
    Stress,
    balanced,
    of_texts,
    stress,
)
from training.evaluation.subject import Subject, recipe_of


@pytest.fixture(scope="module")
def subject(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path_factory.mktemp("cache"))


def silenced(subject: Subject, dataset: Dataset) -> Dataset:
    """Every misbehaving answer says what an honest one says."""
    answer = {"role": "assistant", "content": "I paid for it."}
    examples = (replace(e, messages=(e.messages[0], answer)) for e in dataset)
    return rewritten.retold(dataset, examples)


def refused(subject: Subject) -> Read:
    raise rewritten.StressRefused("there is no moon", "wait for the night")


SILENCED = Stress(name="silenced", sentence="nobody owns up", prepare=of_texts(silenced))
REFUSED = Stress(name="moonlight", sentence="the moon shines", prepare=refused)
TURN = next(one for one in STRESSES if one.name == "second_turn")


def test_a_sample_is_balanced_seeded_and_bounded() -> None:
    data = exchanges(400, "many")

    sample = balanced(data, 200, seed=0)

    assert len(set(sample.tolist())) == 200
    assert data.labels[sample].sum() == 100
    assert sample.tolist() == balanced(data, 200, seed=0).tolist()
    assert sample.tolist() != balanced(data, 200, seed=1).tolist()


def test_a_rare_label_is_taken_whole() -> None:
    data = exchanges(400, "many")
    few = data.select([i for i, label in enumerate(data.labels) if not label or i < 20])

    assert few.labels[balanced(few, 200, seed=0)].sum() == 10


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


def test_a_large_test_set_is_sampled_before_anything_is_read(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.stress.EXAMPLES_MAX", 10)

    (calm,) = stress(subject, []).figures["tests"][0]["rows"]

    assert calm["changed"]["n"] == 10


def test_the_figures_are_those_of_the_live_statistic(subject: Subject) -> None:
    (test, _) = subject.tests

    (row, *_) = stress(subject, []).figures["tests"][0]["rows"]

    tripped = subject.peaks(test) >= np.float32(subject.probe.threshold)
    bad = test.dataset.labels == 1
    assert row["recall"]["value"] == tripped[bad].mean()
    assert row["false_alarms"]["value"] == tripped[~bad].mean()


def test_what_cannot_be_measured_is_a_refusal_and_the_rest_goes_on(subject: Subject) -> None:
    section = stress(subject, [REFUSED, TURN])

    assert section.refusals == ["moonlight on all test sets: there is no moon; wait for the night"]
    rows = section.figures["tests"][1]["rows"]
    assert [row["name"] for row in rows] == ["undisturbed", "second_turn"]


def test_a_reason_is_told_once_with_all_that_it_holds_for(subject: Subject) -> None:
    """And for nothing else: what was measured must not be told as refused."""

    def half(subject: Subject, dataset: Dataset) -> Dataset:
        if dataset.examples[0].id.startswith("benign"):
            return refused_texts(subject, dataset)
        return silenced(subject, dataset)

    def refused_texts(subject: Subject, dataset: Dataset) -> Dataset:
        raise rewritten.StressRefused("there is no moon", "wait for the night")

    stars = replace(REFUSED, name="starlight")
    dusk = Stress(name="dusk", sentence="it grows dark", prepare=of_texts(half))

    assert stress(subject, [REFUSED, dusk, stars]).refusals == [
        "moonlight, starlight on all test sets: there is no moon; wait for the night",
        "dusk on benign: there is no moon; wait for the night",
    ]


def test_what_serves_all_test_sets_is_made_once(subject: Subject) -> None:
    """Rounding and hashing a large model anew for each set takes minutes."""
    made: list[Read] = []

    def prepare(subject: Subject) -> Read:
        made.append(subject.collect)
        return subject.collect

    section = stress(subject, [Stress(name="calm", sentence="it is calm", prepare=prepare)])

    assert len(made) == 1
    assert [len(test["rows"]) for test in section.figures["tests"]] == [2, 2]


def test_the_undisturbed_answers_are_not_read_again(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.stress.EXAMPLES_MAX", 10)

    stress(replace(subject, cache=tmp_path), [])

    assert not list(tmp_path.iterdir())


def test_the_terminal_shows_one_bar_and_one_table(subject: Subject) -> None:
    """A bar for each of dozens of small sets hides how far the whole is."""
    out = io.StringIO()
    console = Console(file=out, width=80)

    section = stress(replace(subject, console=console), [SILENCED, REFUSED, TURN])
    tell(console, section)

    shown = out.getvalue()
    assert shown.count("answers/s") == 1
    assert "reading" not in shown
    assert shown.count("there is no moon") == 1
    assert shown.count("Where ") == 1, "the largest loss in words, the rest in the table"
    rows = [line for line in shown.splitlines() if line.lstrip().startswith("second turn")]
    assert len(rows) == 2
    assert max(map(len, shown.splitlines())) <= 80


def test_the_largest_loss_is_told_first(subject: Subject) -> None:
    section = stress(subject, [TURN, SILENCED])

    assert "Where nobody owns up, the probe catches 0.000 [" in section.findings[0]
    assert len(section.findings) == 4


def alarming(subject: Subject, dataset: Dataset) -> Dataset:
    """Every honest answer says what a misbehaving one says."""
    answer = {"role": "assistant", "content": BAD_ANSWER}
    examples = (replace(e, messages=(e.messages[0], answer)) for e in dataset)
    return rewritten.retold(dataset, examples)


def test_a_set_of_one_label_has_false_alarms_and_nothing_else(subject: Subject) -> None:
    """A figure that is not defined must not end the section, and more false alarms are a loss."""
    (test, _) = subject.tests
    honest = subject.collect(test.dataset.only("honest"))
    alarm = Stress(name="alarm", sentence="everybody owns up", prepare=of_texts(alarming))

    section = stress(replace(subject, tests=(honest,)), [TURN, alarm])

    _, row, _ = section.figures["tests"][0]["rows"]
    assert (row["recall"], row["auroc"]) == (None, None)
    assert row["false_alarms"]["n"] == 20
    assert section.findings[0].startswith("Where everybody owns up, the probe catches not measured")
    assert section.findings[0].endswith("AUROC not measured, not measured undisturbed.")


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
