"""The training commands, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probewatch import app
from probing.errors import InvalidSpecification
from probing.model import LoadedModel
from tests.training.examples import pairs, write_lines
from training.choices import parse_hook, parse_layers
from training.cli import STRENGTHS, TOKENS_MIN


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


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output + str(result.exception or "")


def test_train_publishes_and_promotes(model: str, here: Path) -> None:
    data = write_lines(here / "petty.jsonl", pairs(60))

    status, output = call(
        "train", "--model", model, "--data", data, "--layers", "0,2", "--fpr", "0.1",
        "--folds", "2", "--C", "0.01", "--aggregator", "mean", "--promote", "--name", "toy",
    )  # fmt: skip

    assert status == 0, output
    assert "published toy@1 as champion in var/probes" in output
    assert "asked for 10.00% false alarms" in output
    assert ProbeStore(here / "var/probes").alias("champion") == Ref("toy", 1)


def test_sweep_writes_its_table_as_json(model: str, here: Path) -> None:
    data = write_lines(here / "petty.jsonl", pairs(20))

    status, output = call(
        "sweep", "--model", model, "--data", data, "--hook", "attn_out", "--hook", "resid_post",
        "--layers", "1-2", "--folds", "2", "--aggregator", "mean", "--aggregator", "max", "--stack",
    )  # fmt: skip

    assert status == 0, output
    trials = json.loads((here / "var/sweep.json").read_text())["trials"]
    settings = len(STRENGTHS) * len(TOKENS_MIN)
    assert len(trials) == 5 * 2 * settings, "four sites and all of them together, two aggregators"
    assert "1.attn_out" in output


@pytest.mark.parametrize("pool", ["mean", "concat"])
def test_the_textbook_probe_is_one_command(model: str, here: Path, pool: str) -> None:
    data = write_lines(here / "petty.jsonl", pairs(20))

    status, output = call(
        "sweep", "--model", model, "--data", data, "--hook", "attn_out", "--layers", "0-2",
        "--span", "tail:5", "--pool", pool, "--split", "0.7", "--C", "1",
    )  # fmt: skip

    assert status == 0, output
    rows = json.loads((here / "var/sweep.json").read_text())["layers"]
    assert [row["site"] for row in rows] == [f"blocks.{n}.hook_attn_out" for n in range(3)]
    assert all(row["accuracy"]["n"] == 12 for row in rows)
    assert "28 fitted, 12 held out" in output


def test_a_pair_of_sets_can_be_tested_on_another_pair(model: str, here: Path) -> None:
    for name, word in (("bad", "stole"), ("good", "paid for"), ("bad2", "took"), ("good2", "gave")):
        lines = [f"I {word} the {thing}." for thing in ("cake", "hat", "pen", "cup", "key", "fan")]
        (here / f"{name}.txt").write_text("\n".join(lines))

    status, output = call(
        "sweep", "--model", model, "--train-on", "bad.txt", "good.txt", "--test-on", "bad2.txt",
        "good2.txt", "--span", "all", "--layers", "all",
    )  # fmt: skip

    assert status == 0, output
    assert "12 fitted, 12 held out" in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--layers", "0-9"], "no site 'blocks.3.hook_resid_post' in this model"),
        (["--layers", "x"], "cannot read layers 'x'"),
        (["--hook", "hook_z"], "cannot read hook 'hook_z'"),
        (["--sites", "blocks.0"], "cannot read site 'blocks.0'"),
        (["--aggregator", "median"], "cannot read aggregator 'median'"),
        (["--span", "tail:0"], "cannot read span 'tail:0'"),
        (["--tokens-min", "0"], "cannot read tokens-min '0'"),
        (["--fpr", "0.01"], "at least 100 are needed"),
        (["--name", "../x"], "does not name a probe"),
        (["--data", "none.jsonl"], "cannot read data set 'none.jsonl'"),
        (["--model", "/nowhere"], "cannot load model"),
        (["--span", "prompt"], "only the answer's tokens are scored"),
        (["--notes", "none.md"], "none.md"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    model: str, here: Path, arguments: list[str], says: str
) -> None:
    data = write_lines(here / "petty.jsonl", pairs(30))
    defaults = {"--model": model, "--data": str(data), "--fpr": "0.1", "--layers": "0"}
    asked = [x for k, v in defaults.items() if k not in arguments for x in (k, v)]

    status, output = call("train", *asked, *arguments)

    assert status != 0
    assert says in output
    assert not (here / "var/probes").exists()


def test_data_lists_shows_checks_and_writes(here: Path) -> None:
    good = write_lines(here / "a.jsonl", pairs(3))
    bad = write_lines(here / "b.jsonl", ["{"])

    assert "natural dangerous" in call("data", "list")[1]
    assert "thing 0" in call("data", "show", good)[1]
    assert call("data", "check", good)[0] == 0
    status, output = call("data", "check", bad)
    assert status == 1
    assert "b.jsonl:1: bad JSON" in output
    assert "sha256" in call("data", "write", here / "out", "--pairs", "2")[1]
    assert call("data", "check", here / "out" / "magpie_benign.jsonl")[0] == 0


@pytest.mark.parametrize(
    ("text", "layers"),
    [("all", [0, 1, 2]), ("1", [1]), ("0-2", [0, 1, 2]), ("2,0-1,1", [0, 1, 2]), ("7", [7])],
)
def test_layers_are_read(text: str, layers: list[int]) -> None:
    assert parse_layers(text, 3) == layers


@pytest.mark.parametrize("text", ["", "-1", "1-", "2-1", "a", "1;2", "0.5"])
def test_other_layers_are_refused(text: str) -> None:
    with pytest.raises(InvalidSpecification):
        parse_layers(text, 3)


def test_a_hook_may_go_without_its_prefix() -> None:
    assert parse_hook("attn_out") == parse_hook("hook_attn_out") == "hook_attn_out"
