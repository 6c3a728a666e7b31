"""The command writes what was measured, whatever comes after it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import typer
from transformers.utils import logging

import bench.__main__ as command
from bench.contest import Contest, Sides
from bench.rows import Row, Samples, column, paired
from probing.errors import InvalidSpecification


def sound(stack: ExitStack) -> Sides:
    return {"A": lambda: {"ms": 1.0}, "B": lambda: {"ms": 4.0}}


def refused(stack: ExitStack) -> Sides:
    raise InvalidSpecification("model", "nowhere", "a directory with a model")


def contest(name: str) -> Contest:
    def rows(samples: Samples) -> list[Row]:
        a, b = column(samples, "A", "ms"), column(samples, "B", "ms")
        return [paired(name, a, b, family="f", unit="ms")]

    prepare = refused if name == "refused" else sound
    return Contest(name=name, prepare=prepare, rows=rows, rounds=3, seconds=1)


def held(monkeypatch: pytest.MonkeyPatch, out: Path, names: Sequence[str]) -> None:
    """The command with these contests; what it tells transformers is not to outlive the test."""
    monkeypatch.setattr(command, "programme", lambda *_, **__: [contest(n) for n in names])
    for told in ("set_verbosity_error", "disable_progress_bar"):
        monkeypatch.setattr(logging, told, lambda: None)
    command.main(out=out)


def test_rows_are_in_the_file_though_a_later_contest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty minutes of measuring must not be lost to the last model that is not there."""
    out = tmp_path / "deep" / "results.json"

    with pytest.raises(SystemExit) as ended:
        held(monkeypatch, out, ["x", "y", "refused", "z"])

    assert ended.value.code == 1
    assert [row["name"] for row in json.loads(out.read_text())] == ["x", "y"]
    assert "a directory with a model" in capsys.readouterr().out


def test_all_rows_are_shown_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held(monkeypatch, tmp_path / "results.json", ["x", "y"])

    assert [row["name"] for row in json.loads((tmp_path / "results.json").read_text())] == [
        "x", "y",
    ]  # fmt: skip
    assert "results.json" in capsys.readouterr().out


def test_a_family_that_does_not_exist_is_told_with_those_that_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty minutes later there would be nothing of what was asked for."""
    with pytest.raises(typer.Exit):
        command.main(family=["throughputt"], out=tmp_path / "results.json")

    told = " ".join(capsys.readouterr().out.split())
    assert "no family throughputt; there are scoring, latency, throughput" in told
    assert not (tmp_path / "results.json").exists()
