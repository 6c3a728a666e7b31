"""From data to store: a published probe does live what was measured, or nothing is published."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import training.export as export_module
from probes_store.errors import StoreUnwritable
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.aggregators import AggregatorSpec
from probing.errors import TooFewNegatives
from probing.golden import check_golden
from probing.model import LoadedModel
from probing.reader import Reader
from probing.spec import Site, Span
from tests.training.examples import dataset
from training.collect import collect
from training.datasets.bundled import TrainingSets
from training.datasets.schema import Dataset
from training.errors import (
    EmptyClass,
    ExportsDisagree,
    SituationLeak,
    TooFewExamples,
    TooFewSituations,
)
from training.publish import golden_of
from training.run import Plan, Trained, train
from training.score import live_peaks
from training.sweep import Grid

QUIET = Console(file=StringIO(), width=120)
SITES = (Site(0, "hook_resid_post"), Site(2, "hook_resid_post"))
DATA = dataset(40, families=4)
SETS = TrainingSets(
    fit=DATA.select(range(40)),
    calibration=DATA.select(range(40, 60)).only("honest"),
    tests=(DATA.select(range(60, 80), "toy test"),),
)
GRID = Grid(
    sites=tuple((site,) for site in SITES),
    inverse_strengths=(0.01, 0.1),
    aggregators=(AggregatorSpec.parse("mean"), AggregatorSpec.parse("ema:0.2")),
    span=Span("response"),
    tokens_min=(4,),
)


def planned(cache: Path, **changes: Any) -> Plan:
    plan = Plan(sets=SETS, grid=GRID, name="toy", fpr=0.1, folds=2, cache=cache, notes="A note.")
    return replace(plan, **changes)


@pytest.fixture(scope="module")
def trained(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trained, ProbeStore, Path]:
    folder = tmp_path_factory.mktemp("run")
    store = ProbeStore(folder / "probes", shipped=None)
    found = train(tiny("gpt2"), planned(folder / "cache"), store, console=QUIET)
    return found, store, folder


def test_the_published_probe_reproduces_its_golden_scores(
    trained: tuple[Trained, ProbeStore, Path], tiny: Callable[[str], LoadedModel]
) -> None:
    found, store, _ = trained
    artifact = store.load(found.ref)

    artifact.probe.require(tiny("gpt2").spec)
    with Reader(tiny("gpt2"), artifact.probe.sites) as reader:
        difference = check_golden(reader, artifact.probe, artifact.golden, 1e-4)

    assert difference < 1e-4
    assert artifact.manifest.golden_tolerance == 1e-4


def test_its_threshold_trips_as_often_as_its_manifest_says(
    trained: tuple[Trained, ProbeStore, Path], tiny: Callable[[str], LoadedModel]
) -> None:
    found, store, folder = trained
    artifact = store.load(found.ref)
    sites = artifact.probe.sites
    honest = collect(tiny("gpt2"), SETS.calibration, sites, cache=folder / "cache", console=QUIET)

    peaks = live_peaks(honest, artifact.probe)

    share = np.mean(peaks >= np.float32(artifact.probe.threshold))
    assert share == artifact.manifest.calibration.achieved.value
    assert share <= 0.1


def test_everything_that_was_measured_is_in_the_artifact(
    trained: tuple[Trained, ProbeStore, Path],
) -> None:
    found, store, _ = trained
    manifest = store.manifest(found.ref)
    evaluation = json.loads(store.companion(found.ref, "evaluation.json") or b"")
    card = (store.companion(found.ref, "card.md") or b"").decode()

    assert set(manifest.files) == {
        "probe.safetensors", "golden.safetensors", "probe.onnx", "probe.joblib", "card.md",
        "evaluation.json",
    }  # fmt: skip
    assert manifest.training_data[0].sha256 == SETS.fit.sha256
    assert manifest.calibration.data[0].examples == 10
    assert {"auroc_toy_test", "recall_toy_test", "auroc_words_toy_test"} <= set(manifest.metrics)
    assert evaluation["calibration"]["too_short"] == 0
    assert "cannot trip" in manifest.calibration.statistic
    assert len(evaluation["trials"]) == 8
    assert set(evaluation["families"]) == {"0.resid_post", "2.resid_post"}
    assert evaluation["tests"]["toy test"][0]["auroc"]["n"] == 20
    assert "A note." in card
    assert f"{manifest.threshold:.4f}" in card
    assert "family-0" in card


def test_a_second_run_is_the_same_probe_and_the_next_version(
    trained: tuple[Trained, ProbeStore, Path], tiny: Callable[[str], LoadedModel]
) -> None:
    found, store, folder = trained

    again = train(tiny("gpt2"), planned(folder / "cache"), store, console=QUIET)

    assert again.ref == Ref("toy", 2)
    assert store.manifest(again.ref).parent == "toy@1"
    assert replace(again.probe, version="1").digest == found.probe.digest


def _leaking() -> TrainingSets:
    return replace(SETS, tests=(DATA.select(range(38, 60)),))


def _one_class() -> TrainingSets:
    return replace(SETS, fit=SETS.fit.only("misbehaving"))


def _few() -> TrainingSets:
    return replace(SETS, calibration=SETS.calibration.select(range(9)))


def _one_situation() -> TrainingSets:
    return replace(SETS, fit=SETS.fit.select(range(2)))


def _three_misbehaving() -> TrainingSets:
    return replace(SETS, fit=SETS.fit.select([0, 1, 2, 3, 4, 5, 6, 8, 10]))


@pytest.mark.parametrize(
    ("sets", "error"),
    [
        (_leaking, SituationLeak),
        (_one_class, EmptyClass),
        (_few, TooFewNegatives),
        (_one_situation, TooFewSituations),
        (_three_misbehaving, TooFewExamples),
    ],
)
def test_bad_sets_are_refused_before_anything_is_read(
    sets: Callable[[], TrainingSets],
    error: type[Exception],
    tiny: Callable[[str], LoadedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> Dataset:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(Reader, "read", refuse)
    store = ProbeStore(tmp_path / "probes", shipped=None)

    with pytest.raises(error):
        train(tiny("gpt2"), planned(tmp_path, sets=sets()), store, console=QUIET)
    assert store.list() == ()


def test_a_store_that_cannot_be_written_is_refused_before_anything_is_read(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of reading and fitting would end in nothing."""

    def refuse(*_: object, **__: object) -> Dataset:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(Reader, "read", refuse)
    (tmp_path / "probes").write_text("a file where a directory is wanted")

    with pytest.raises(StoreUnwritable, match="File exists"):
        train(tiny("gpt2"), planned(tmp_path), ProbeStore(tmp_path / "probes"), console=QUIET)


def test_too_few_families_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    plan = planned(tmp_path, by_family=True, folds=5)

    with pytest.raises(TooFewSituations, match=r"4 families with honest .* or deal --by-situation"):
        plan.require()


def test_golden_readings_are_eight_different_exchanges(
    tiny: Callable[[str], LoadedModel], trained: tuple[Trained, ProbeStore, Path]
) -> None:
    """The same exchange eight times would check one length and one class."""
    found, store, folder = trained
    golden = store.load(found.ref).golden
    few = _three_misbehaving().fit
    readings = collect(tiny("gpt2"), few, found.probe.sites, cache=folder / "few", console=QUIET)

    assert len(set(golden.token_ids)) == 8
    with pytest.raises(TooFewExamples, match="3 misbehaving examples to fit on, and 4 are needed"):
        golden_of(tiny("gpt2"), found.probe, readings)


def test_forms_that_disagree_publish_nothing(
    trained: tuple[Trained, ProbeStore, Path],
    tiny: Callable[[str], LoadedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, _, folder = trained
    right = export_module.served_logits
    monkeypatch.setattr(export_module, "served_logits", lambda p, f: right(p, f) + 1e-3)
    store = ProbeStore(tmp_path / "probes", shipped=None)

    with pytest.raises(ExportsDisagree):
        train(tiny("gpt2"), planned(folder / "cache"), store, console=QUIET)
    assert store.list() == ()
