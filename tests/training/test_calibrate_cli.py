"""`calibrate`, as a person types it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.model import LoadedModel, load_model
from probing.spec import Site
from tests.probes_store.examples import draft
from tests.probing.examples import probe
from tests.training.examples import record, write_lines
from training.calibrate_cli import calibrate

STORE = Path("var/probes")


@pytest.fixture(scope="module")
def model(tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's directory."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny("gpt2").model.save_pretrained(folder)
    tiny("gpt2").tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose store has `petty@1`, at a threshold of 1.25."""
    monkeypatch.chdir(tmp_path)
    ProbeStore(tmp_path / STORE, shipped=None).publish(draft())
    return tmp_path


def call(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    app.command("calibrate")(calibrate)
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output + str(result.exception or "")


def peaks(count: int = 200) -> list[dict[str, Any]]:
    """From 0 to 2, so that 3 in 8 reach the shipped threshold."""
    return [{"peak": 2 * number / count} for number in range(count)]


def test_recorded_peaks_give_a_threshold_with_its_interval(here: Path) -> None:
    lines = [*peaks(), {"peak": None}, {"peak": 5, "label": "misbehaving"}]
    lines += [{"outcome": "unscored", "peaks": {}}]
    file = write_lines(here / "day.jsonl", lines)

    status, output = call("petty", file, "--fpr", "0.05")

    assert status == 0, output
    assert "petty@1 on day: 201 honest answers, 201 of them without a label, 1 too short" in output
    assert "left out because they ended unscored: 1 requests" in output
    assert "asked for 5.00% false alarms, got 5.0% [2.4, 9.0] of 201" in output
    assert "the shipped threshold 1.2500 trips 37.3% [30.6, 44.4] of the same answers" in output
    assert "of 1 misbehaving answers the new threshold catches 100.0%" in output
    assert "published" not in output
    assert ProbeStore(here / STORE, shipped=None).list() == (Ref("petty", 1),)


def test_an_interval_that_says_too_little_is_told(here: Path) -> None:
    file = write_lines(here / "day.jsonl", peaks())

    _, few = call("petty", file, "--fpr", "0.01")
    _, enough = call("petty", file, "--fpr", "0.05")

    assert "200 answers do not show that 1.00% is kept: the 95% interval reaches 3.57%" in few
    assert "do not show" not in enough


def test_publish_writes_the_next_version(here: Path) -> None:
    file = write_lines(here / "day.jsonl", peaks())

    status, output = call("petty@1", file, "--fpr", "0.05", "--publish")

    assert status == 0, output
    assert "published petty@2 in var/probes, parent petty@1" in output
    new = ProbeStore(here / STORE, shipped=None).load(Ref("petty", 2))
    assert f"threshold {new.probe.threshold:.4f}:" in output
    assert new.manifest.calibration.data[0].name == "day"


def _published(here: Path, loaded: LoadedModel, model: Path) -> ProbeStore:
    """`read@1`, a probe of the tiny model."""
    own = probe(
        "read", sites=[Site(1, "hook_resid_post")], d_model=64, tokens_min=4, threshold=0.0,
        fingerprint=loaded.spec.fingerprint,
    )  # fmt: skip
    place = replace(loaded.provenance, path=str(model))
    store = ProbeStore(here / STORE, shipped=None)
    store.publish(replace(draft(), probe=own, reading=loaded.spec, provenance=place))
    return store


def test_transcripts_are_read_again_through_the_probe_s_own_model(here: Path, model: Path) -> None:
    """The peaks of transcripts are those that a service would have recorded of them."""
    store = _published(here, load_model(model), model)
    rows = [record(n, misbehaving=n >= 20) for n in range(24)]
    lines = [{k: row[k] for k in ("messages", "label")} for row in rows]
    file = write_lines(here / "talks.jsonl", lines)

    status, output = call("read", file, "--fpr", "0.1", "--publish")

    assert status == 0, output
    assert "read@1 on talks: 20 honest answers, 0 of them without a label" in output
    assert "of 4 misbehaving answers" in output
    achieved = store.manifest(Ref("read", 2)).calibration.achieved
    assert (achieved.n, achieved.value <= 0.1) == (20, True)
    assert np.isfinite(store.load(Ref("read", 2)).probe.threshold)


def test_another_model_is_refused(
    here: Path, model: Path, tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    """Its readings have the right shape and mean something else."""
    _published(here, load_model(model), model)
    other = tmp_path / "other"
    tiny("llama").model.save_pretrained(other)
    tiny("llama").tokenizer.save_pretrained(other)
    lines = [{"messages": record(n)["messages"]} for n in range(20)]
    file = write_lines(here / "talks.jsonl", lines)

    status, output = call("read", file, "--fpr", "0.1", "--model", other)

    assert status == 1
    assert "'read' was trained on readings" in output


def test_too_few_transcripts_are_refused_before_a_model_is_loaded(here: Path) -> None:
    """The model of `petty` is nowhere, and nobody asked for it."""
    lines = [{"messages": record(n)["messages"]} for n in range(19)]
    file = write_lines(here / "talks.jsonl", lines)

    status, output = call("petty", file, "--fpr", "0.05")

    assert status == 1
    assert "at least 20 are needed" in output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--fpr", "1.5"), "a rate between 0 and 1"),
        (("--fpr", "0.001"), "at least 1000 are needed"),
        (("--model", "magpie"), "--model has no effect on recorded peaks"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    here: Path, arguments: tuple[str, ...], told: str
) -> None:
    file = write_lines(here / "day.jsonl", peaks())

    status, output = call("petty", file, *arguments)

    assert status == 1
    assert told in output
