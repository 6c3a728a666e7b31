"""`collect` and `rescore`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from probing.model import LoadedModel
from tests.training.examples import pairs, write_lines
from tests.training.scale.archives import BAD, read, transcripts, written
from training.cli import sweep, train
from training.scale.cli import collect, rescore


@pytest.fixture(scope="module")
def model(tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model's directory."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny("gpt2").model.save_pretrained(folder)
    tiny("gpt2").tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(command: Callable[..., None], *arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output + str(result.exception or "")


def test_what_was_collected_is_found_by_the_command_it_is_for(
    model: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of reading in a cache that nobody finds would be read once more."""
    data = write_lines(here / "petty.jsonl", pairs(20))
    asked = ["--model", model, "--data", data, "--layers", "0-1"]
    for purpose in ("sweep", "train"):
        status, output = call(collect, *asked, "--for", purpose)
        assert status == 0, output
        assert "tok/s" in output, "the rate"
    monkeypatch.setattr("training.shards.ShardOrder.write", _refuse)

    fast = ["--folds", "2", "--C", "0.01", "--aggregator", "mean", "--tokens-min", "4"]
    swept = call(sweep, *asked, *fast)
    trained = call(train, *asked, *fast, "--fpr", "0.2", "--name", "toy")

    assert swept[0] == 0, swept[1]
    assert trained[0] == 0, trained[1]


def test_a_second_call_reads_nothing(model: str, here: Path, monkeypatch: Any) -> None:
    data = write_lines(here / "petty.jsonl", pairs(4))
    asked = ["--model", model, "--data", data, "--sites", "blocks.1.hook_mlp_out", "--prompts"]
    first = call(collect, *asked)
    monkeypatch.setattr("training.shards.ShardOrder.write", _refuse)

    again = call(collect, *asked)

    assert first[0] == again[0] == 0
    assert "petty.jsonl: 8 answers" in again[1]
    assert "reading 8 answers" not in again[1]
    assert "tok/s" not in again[1]


def test_an_archive_is_scored_with_the_champion(here: Path) -> None:
    records = transcripts(here / "sets")
    archive = written(here / "a.jsonl", [*records[:4], BAD["no JSON"][0]])

    status, output = call(rescore, archive, "--out", here / "scores.jsonl", "--skip-bad")

    assert status == 0, output
    assert len(read(here / "scores.jsonl")) == 4
    summary = json.loads((here / "scores.jsonl.summary.json").read_text())
    assert summary["probe"] == "magpie-petty@1"
    assert summary["tripped"]["n"] == summary["scored"] == 4
    assert (summary["skipped"], len(summary["problems"])) == (1, 1)
    assert "4 transcripts scored" in output
    assert "a.jsonl:5: bad JSON" in output


def test_two_processes_score_as_one(here: Path) -> None:
    archive = written(here / "a.jsonl", transcripts(here / "sets"))

    one = call(rescore, archive, "--out", here / "one")
    two = call(rescore, archive, "--out", here / "two", "--processes", 2)

    assert one[0] == two[0] == 0, two[1]
    for single, shared in zip(read(here / "one"), read(here / "two"), strict=True):
        assert shared["peak"] == pytest.approx(single["peak"], abs=1e-4)
        assert {**shared, "peak": 0} == {**single, "peak": 0}


def test_a_run_goes_on_with_resume_only(here: Path) -> None:
    records = transcripts(here / "sets")
    archive = written(here / "a.jsonl", [*records[:3], b"{"])
    broken = call(rescore, archive, "--out", here / "out")
    written(archive, records[:4])

    refused = call(rescore, archive, "--out", here / "out")
    resumed = call(rescore, archive, "--out", here / "out", "--resume")

    assert broken[0] == refused[0] == 1
    assert "a.jsonl:4: bad JSON" in broken[1]
    assert "go on with an interrupted run with --resume" in refused[1]
    assert resumed[0] == 0, resumed[1]
    assert [row["id"] for row in read(here / "out")] == [r["id"] for r in records[:4]]


def _refuse(*_: object) -> None:
    raise AssertionError("the model was asked again")
