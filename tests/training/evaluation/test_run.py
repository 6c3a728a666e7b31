"""An evaluation from the store to the file, on the bundled model and its built-in probe."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from probes_store.errors import ProbeNotFound
from probes_store.store import ProbeStore
from probing.errors import InvalidSpecification, ReadingMismatch
from probing.estimates import auroc
from probing.model import LoadedModel
from tests.probes_store.examples import draft
from tests.training.evaluation.examples import toy_subject
from training.choices import sets_for
from training.errors import NoChampion, OtherData, RecipeUnknown
from training.evaluation import cli
from training.evaluation.claim import claim
from training.evaluation.run import (
    SECTIONS,
    losses,
    read,
    ref_of,
    sections_of,
    subject_of,
    told_once,
)
from training.evaluation.subject import recipe_of

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, Any]:
    """What the command writes, with its quick sections and few sampled answers."""
    out = folder / "new" / "evaluation.json"
    cli.evaluate(
        store=folder / "probes",
        section=["claim", "delay", "thresholds"],
        sampled=4,
        cache=folder / "cache",
        out=out,
    )
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_the_claim_comes_first_and_says_what_was_measured(written: dict[str, Any]) -> None:
    assert list(written["sections"]) == ["claim", "delay", "thresholds"]
    first = written["sections"]["claim"]["figures"]["tests"][0]
    assert first["dangerous"]
    assert first["parts"][0]["auroc"]["n"] > 0
    assert set(written["seconds"]) == set(written["sections"])


def test_it_names_the_exact_version_and_all_data(written: dict[str, Any]) -> None:
    """Without hashes nobody can say later what the figures are of."""
    about = written["subject"]

    assert about["probe"].startswith("magpie-petty@")
    assert len(about["digest"]) == len(about["fingerprint"]) == 12
    assert [entry["role"] for entry in about["data"]] == ["fitted", "calibrated", *4 * ["tested"]]
    assert all(entry["sha256"] and entry["examples"] for entry in about["data"])


def test_a_probe_is_not_judged_with_data_of_another_fit(folder: Path, magpie: LoadedModel) -> None:
    """A test answer might be among those that it was fitted on."""
    store = ProbeStore(folder / "probes")
    others = sets_for("magpie", data=[], seed=1)

    with pytest.raises(OtherData, match="--seed"):
        subject_of(store, ref_of(store, "champion"), magpie, others, cache=folder, console=QUIET)


def test_a_probe_of_another_model_is_refused(folder: Path, tiny: Any) -> None:
    store = ProbeStore(folder / "probes")
    sets = sets_for("magpie", data=[], seed=0)

    with pytest.raises(ReadingMismatch):
        subject_of(
            store, ref_of(store, "champion"), tiny("gpt2"), sets, cache=folder, console=QUIET
        )


def test_what_is_meant_is_found_or_refused_in_a_sentence(tmp_path: Path) -> None:
    assert str(ref_of(ProbeStore(tmp_path), "magpie-petty")).startswith("magpie-petty@")
    with pytest.raises(NoChampion, match="--promote"):
        ref_of(ProbeStore(tmp_path, shipped=None), "champion")
    with pytest.raises(ProbeNotFound):
        ref_of(ProbeStore(tmp_path), "magpie-petty@99")
    with pytest.raises(InvalidSpecification, match="claim, generalisation"):
        sections_of(["clam"], None)
    assert list(sections_of([], None)) == list(SECTIONS)


@pytest.mark.parametrize("text", [None, "no JSON", "[]", "{}", '{"format": 2}'])
def test_another_file_is_not_taken_for_an_evaluation(tmp_path: Path, text: str | None) -> None:
    """Nothing would be found in it, and so nothing lost."""
    path = tmp_path / "before.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(InvalidSpecification, match="a file that `evaluate` wrote"):
        read(path)


def test_a_judge_is_handed_to_the_controls_and_asks_for_none(tmp_path: Path) -> None:
    judge = tmp_path / "judge.jsonl"

    wanted = sections_of([], judge)["controls"]

    assert isinstance(wanted, partial)
    assert wanted.keywords == {"judge": judge}
    assert list(sections_of(["claim"], judge)) == ["claim"]


@pytest.mark.parametrize("evaluation", [None, b"", b"[]", b'{"chosen": {"C": null}}'])
def test_a_version_that_does_not_say_how_it_was_fitted_is_refused(
    tmp_path: Path, evaluation: bytes | None
) -> None:
    """Controls of a guessed recipe would be those of another probe."""
    store, first = ProbeStore(tmp_path, shipped=None), draft()
    told = {} if evaluation is None else {"evaluation.json": evaluation}
    ref = store.publish(replace(first, companions=told))
    artifact = store.load(ref)

    with pytest.raises(RecipeUnknown, match="petty@1"):
        recipe_of(store, ref, artifact.probe, artifact.manifest)


def test_a_control_that_does_worse_is_no_loss() -> None:
    """The lower the area of random labels, the better for the probe."""
    before, now = (
        {"sections": {"controls": {"figures": {"control_task": {"auroc": one.as_json()}}}}}
        for one in (auroc([0.0, 1.0], [0, 1]), auroc([1.0, 0.0], [0, 1]))  # type: ignore[arg-type]
    )

    assert losses(now, before) == []


def test_what_a_version_loses_against_another_is_told() -> None:
    better = toy_subject()
    worse = replace(better, probe=replace(better.probe, threshold=better.probe.threshold + 2))
    before, now = (
        {"sections": {"claim": {"figures": claim(one).figures}}} for one in (better, worse)
    )

    assert any("recall" in sentence for sentence in losses(now, before))
    assert losses(before, before) == losses(before, now) == []
    assert losses({"sections": {}}, before) == [], "what was not asked for is no loss"


@pytest.mark.parametrize("name", ["delay", "efficiency", "generalisation", "replay", "stress"])
def test_a_section_that_finds_nothing_to_measure_says_so(name: str) -> None:
    subject = replace(toy_subject(count=24), tests=())

    section = SECTIONS[name](subject)

    assert section.refusals
    assert not section.findings


def test_a_reason_is_told_once_for_all_that_it_holds_for() -> None:
    """Eight times the same paragraph hides the one that differs."""
    told = list(told_once(["a, area: too few", "b: too many", "a, recall: too few", "no test set"]))

    assert told == ["a, area; a, recall: too few", "b: too many", "no test set"]
