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
    assert "published toy@1 in var/probes" in output
    assert "toy@1 is the store's champion: an empty database begins with it" in output
    assert "keeps that until `probewatch probes promote toy@1`" in output
    assert "asked for 10.00% false alarms" in output
    assert ProbeStore(here / "var/probes").alias("champion") == Ref("toy", 1)


def test_the_named_calibration_and_test_data_are_measured_on(model: str, here: Path) -> None:
    data = write_lines(here / "petty.jsonl", pairs(20))
    held = write_lines(here / "held.jsonl", pairs(12, first=50))
    test = write_lines(here / "unseen.jsonl", pairs(6, first=90))

    status, output = call(
        "train", "--model", model, "--data", data, "--calibration-data", held, "--test-data", test,
        "--layers", "1", "--fpr", "0.1", "--folds", "2", "--C", "0.01", "--aggregator", "mean",
        "--tokens-min", "4", "--name", "toy",
    )  # fmt: skip

    assert status == 0, output
    assert "champion" not in output
    manifest = ProbeStore(here / "var/probes").manifest(Ref("toy"))
    assert [(d.name, d.examples) for d in manifest.calibration.data] == [("held (honest)", 12)]
    assert manifest.metrics["auroc_unseen"].n == 12
    assert manifest.training_data[0].examples == 40


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


def _write_pairs(folder: Path, **words: str) -> None:
    for name, word in words.items():
        lines = [f"I {word} the {thing}." for thing in ("cake", "hat", "pen", "cup", "key", "fan")]
        (folder / f"{name}.txt").write_text("\n".join(lines))


def test_a_split_and_another_pair_give_two_tables(model: str, here: Path) -> None:
    """One of the two was dropped without a word."""
    _write_pairs(here, bad="stole", good="paid for", bad2="took", good2="gave")

    status, output = call(
        "sweep", "--model", model, "--train-on", "bad.txt", "good.txt", "--test-on", "bad2.txt",
        "good2.txt", "--split", "0.7", "--span", "all", "--layers", "1",
    )  # fmt: skip

    assert status == 0, output
    assert "bad against good, held out: mean of all, C=1: 8 fitted, 4 held out" in output
    assert "bad2 against good2: mean of all, C=1: 8 fitted, 12 held out" in output
    rows = json.loads((here / "var/sweep.json").read_text())["layers"]
    assert [row["accuracy"]["n"] for row in rows] == [4, 12]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--split", "0.7", "--aggregator", "max"], "--aggregator has no effect with --split"),
        (["--split", "0.7", "--stack"], "--stack has no effect with --split"),
        (["--split", "0.7", "--folds", "3"], "--folds has no effect with --split"),
        (["--split", "0.7", "--by-situation"], "--by-family has no effect with --split"),
        (["--split", "0.7", "--tokens-min", "3"], "--tokens-min has no effect with --split"),
        (["--test-on", "bad2.txt", "good2.txt", "--stack"], "--stack has no effect with --split"),
        (["--pool", "mean"], "--pool has no effect without --split"),
        (["--split", "0.7", "--pool", "concat"], "concat together with a span tail:K"),
        (["--split", "1.0"], "a share between 0 and 1"),
        (["--split", "0"], "a share between 0 and 1"),
        (["--split", "nan"], "a share between 0 and 1"),
        (["--split", "0.7", "--C", "0"], "cannot read C '0'"),
        (["--C", "inf"], "cannot read C 'inf'"),
        (["--data", "bad.txt"], "--data with --train-on"),
        (["--test-on", "bad.txt", "good2.txt"], "is also in the fitting set"),
    ],
)
def test_options_that_do_not_go_together_are_told_in_one_sentence(
    here: Path, arguments: list[str], says: str
) -> None:
    """What is dropped silently is believed: a table would answer another question."""
    _write_pairs(here, bad="stole", good="paid for", bad2="took", good2="gave")

    status, output = call(
        "sweep", "--model", "/nowhere", "--train-on", "bad.txt", "good.txt", *arguments
    )

    assert status == 1
    assert says in output
    assert not (here / "var").exists()


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        (
            "sweep",
            [
                "probewatch sweep --data F --hook attn_out --layers 3 --span tail:5 --pool concat",
                "probewatch sweep --train-on bad good --test-on bad2 good2",
                "which needs --span tail:K", "Plain text, one example a line", '"AUROC, live"',
                "What is compared", "One fit per site, tested on other examples",
            ],
        ),
        (
            "train",
            [
                "probewatch train --model gpt2 --data natural", '"AUROC, live"', "Result",
                "keeps it until `probewatch probes promote",
            ],
        ),
    ],
)  # fmt: skip
def test_help_teaches(command: str, parts: list[str]) -> None:
    told = " ".join(call(command, "--help")[1].replace("│", " ").split())

    assert [part for part in parts if part not in told] == []


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
        (["--notes", "latin.md"], "Markdown in UTF-8"),
        (["--data", "natural", "--data", "petty.jsonl"], "alone, or files"),
        (["--C", "0"], "cannot read C '0'"),
        (["--folds", "40"], "18 situations with honest examples to deal into 40 parts"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    model: str, here: Path, arguments: list[str], says: str
) -> None:
    data = write_lines(here / "petty.jsonl", pairs(30))
    (here / "latin.md").write_bytes("für".encode("latin-1"))
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
    for action in ("show", "check"):
        status, output = call("data", action)
        assert status == 1
        assert f"cannot read names 'data {action}'; expected after it" in output
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
