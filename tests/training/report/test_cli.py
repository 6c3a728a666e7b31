"""The command writes a page and its twin, and prints it only where a browser is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.report.examples import evaluation_json, written
from training.report.cli import report
from training.report.errors import EvaluationUnreadable, NotPrinted


def test_the_page_and_its_twin_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "report"

    report(written(tmp_path), out, minutes=2)

    twin = json.loads((out / "report.json").read_text("utf-8"))
    assert twin["minutes_per_case"] == 2
    assert twin["conclusion"] in (out / "report.html").read_text("utf-8")
    printed = capsys.readouterr().out
    assert twin["conclusion"] in printed
    assert twin["caution"] in printed


def test_the_last_report_is_set_beside_this_one(tmp_path: Path) -> None:
    before = written(tmp_path, evaluation_json(probe="toy@1"), "before.json")

    report(written(tmp_path), tmp_path, since=before)

    assert "Compared with toy@1" in (tmp_path / "report.html").read_text("utf-8")


def test_without_a_browser_the_page_is_written_and_the_pdf_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotPrinted, match="no chromium on the path; the page is in"):
        report(written(tmp_path), tmp_path, pdf=True)

    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize("body", ["exit 1", "exit 0"])
def test_a_browser_that_prints_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """An older report.pdf would be taken for this one."""
    browser = tmp_path / "chromium"
    browser.write_text(f"#!/bin/sh\n{body}\n")
    browser.chmod(0o755)
    (tmp_path / "report.pdf").write_bytes(b"old")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    with pytest.raises(NotPrinted):
        report(written(tmp_path), tmp_path, pdf=True)

    assert not (tmp_path / "report.pdf").exists()


def test_nothing_is_written_of_what_cannot_be_read(tmp_path: Path) -> None:
    out = tmp_path / "report"

    with pytest.raises(EvaluationUnreadable):
        report(tmp_path / "none.json", out)

    assert not out.exists()
