"""All four experiments, each one command: on Magpie, and on a public model where one is at hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from probing.estimates import Estimate
from probing.model import LoadedModel
from training.experiments import cli

Json = dict[str, Any]
COMMANDS: dict[str, Callable[..., None]] = {
    "helpfulness": cli.helpfulness,
    "transfer": cli.transfer,
    "parts-of-speech": cli.parts_of_speech,
    "known-inside": cli.known_inside,
}
STATEMENTS = 60
"""Of each class, drawn from each of two public sets."""


def call(command: str, *arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(COMMANDS[command])
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output + str(result.exception or "")


def run(command: str, *arguments: object) -> tuple[Json, str]:
    """The file that a command writes, and what it says."""
    status, output = call(command, *arguments)
    assert status == 0, output
    assert "expected" in output
    assert "found" in output
    figures = json.loads(Path(f"var/experiments/{command}.json").read_text())
    assert all(0 <= e.low <= e.value <= e.high <= 1 and e.n > 1 for e in estimates(figures))
    return figures, output


def estimates(figures: object) -> list[Estimate]:
    """Every rate and area of a file; a selectivity may be below 0 and is left out."""
    if isinstance(figures, dict):
        if set(figures) == {"value", "low", "high", "n"}:
            return [Estimate(**figures)]
        return [e for key, own in figures.items() if key != "selectivity" for e in estimates(own)]
    return [e for own in figures for e in estimates(own)] if isinstance(figures, list) else []


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


def test_unhelpful_replies_are_told_where_request_and_reply_are_compared(here: Path) -> None:
    found, output = run("helpfulness", "--layers", "0,4", "--situations", "120", "--folds", "3")

    names = [f"blocks.{n}.hook_{h}" for h in ("attn_out", "mlp_out", "resid_post") for n in (0, 4)]
    assert [row["site"] for row in found["sites"]] == names
    assert found["sites"][-1]["auroc"]["low"] > 0.95
    assert found["words"]["auroc"]["value"] < 0.7
    assert "4.resid_post" in output
    assert found["settings"]["data"][0]["examples"] == found["words"]["accuracy"]["n"]


def test_what_is_learnt_on_harmless_families_holds_on_dangerous_ones(here: Path) -> None:
    found, output = run("transfer", "--layers", "4", "--situations", "60", "--folds", "3")

    judged = {(row["fitted_on"], row["judged_on"]) for row in found["fits"]}
    assert len(judged) == 4
    assert all(row["auroc"]["low"] > 0.9 for row in found["fits"])
    assert "second to first" in output


def test_magpies_words_have_their_parts_and_the_control_task_is_guessed(here: Path) -> None:
    found, output = run("parts-of-speech", "--layers", "0", "--situations", "40", "--folds", "3")

    assert [(row["site"], row["probe"]) for row in found["rows"]] == [
        (f"blocks.0.hook_{hook}", probe)
        for hook in ("resid_pre", "resid_post")
        for probe in ("linear", "network")
    ]
    behind = found["rows"][2]
    assert behind["tags"]["low"] > 0.9
    assert behind["selectivity"]["low"] > 0
    assert _is_guessed(found)
    assert "commonest tag" in output


def test_magpie_says_what_it_knows(here: Path) -> None:
    """It learnt to foresee what comes of its acts, so nothing stays inside."""
    found, output = run("known-inside", "--layers", "4", "--situations", "60", "--folds", "3")

    assert found["inside"][0]["auroc"]["low"] > 0.9
    assert found["answer"]["auroc"]["low"] > 0.9
    assert found["inside"][0]["known_only"]["value"] < 0.2
    assert "its own answer" in output


def test_all_four_run_on_a_public_model(here: Path, assets: Path) -> None:
    """Sizes, ranges and controls; what a model of three million parameters knows is no claim."""
    model = ("--model", assets / "models" / "tinytalk-3m", "--layers", "0,7", "--folds", "3")
    cities, words = (_statements(assets, here, name) for name in ("cities", "sp_en_trans"))

    helpful, _ = run("helpfulness", *model)
    carried, _ = run("transfer", *model, "--train-on", *cities, "--test-on", *words)
    parts, _ = run("parts-of-speech", *model)
    inside, _ = run("known-inside", *model)
    true, _ = run("known-inside", *model, "--statements", *cities)

    assert {row["accuracy"]["n"] for row in helpful["sites"]} == {50}
    assert {row["accuracy"]["n"] for row in carried["fits"]} == {2 * STATEMENTS}
    linear = parts["rows"][0]
    assert linear["tags"]["low"] > parts["commonest"]["tags"]["high"]
    assert linear["new_tags"]["low"] > parts["commonest"]["new_control"]["high"]
    assert _is_guessed(parts)
    assert {own["accuracy"]["n"] for own in inside["inside"]} == {120}
    assert true["answer"]["accuracy"]["n"] == 2 * STATEMENTS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--C", "0"], "cannot read C '0'"),
        (["--layers", "x"], "cannot read layers 'x'"),
        (["--layers", "9"], "no site 'blocks.9.hook_resid_post'"),
        (["--model", "/nowhere"], "cannot load model"),
        (["--out", "occupied/new.json"], "occupied"),
    ],
)
def test_a_mistake_is_told_before_the_work_begins(
    here: Path, model: str, command: str, arguments: Sequence[str], says: str
) -> None:
    """And nothing is written that could be taken for a result."""
    (here / "occupied").write_text("")

    status, output = call(command, "--model", model, *arguments)

    assert status == 1
    assert says in output
    assert not list(here.rglob("*.json"))


def _is_guessed(parts: Json) -> bool:
    """Whether control tags of new words are right no more often than always the commonest."""
    ceiling = parts["commonest"]["control"]["high"]
    return all(row["new_control"]["low"] <= ceiling for row in parts["rows"])


def _statements(assets: Path, folder: Path, name: str) -> list[Path]:
    """Some false and some true statements of a public set, as two files."""
    source = assets / "data" / "truth" / "truth_is_universal" / f"{name}.csv"
    with source.open(newline="") as file:
        rows = list(csv.DictReader(file))
    paths = [folder / f"{name}-{label}.txt" for label in ("false", "true")]
    for path, label in zip(paths, ("0", "1"), strict=True):
        told = [row["statement"] for row in rows if row["label"] == label][:STATEMENTS]
        path.write_text("\n".join(told) + "\n")
    return paths
