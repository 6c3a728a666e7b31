"""What is printed says what the rows say."""

from __future__ import annotations

import io

from rich.console import Console

from bench import scoring
from bench.rows import Row, paired
from bench.table import bar, show, summary

MET = paired("light", [1.0], [100.0], family=scoring.FAMILY, unit="ms", target=0.03)
MISSED = paired("heavy", [9.0], [100.0], family=scoring.FAMILY, unit="ms", target=0.03)
PLAIN = paired("A/A light", [1.0], [1.0], family=scoring.FAMILY, unit="ms")


def printed(rows: list[Row]) -> str:
    console = Console(file=io.StringIO(), width=140)
    show(rows, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_row_is_printed_with_its_verdict() -> None:
    text = printed([MET, MISSED, PLAIN])

    lines = {name: line for name in ("light", "heavy") for line in text.splitlines()
             if line.strip().startswith(name) and "ms" in line}  # fmt: skip
    assert "1.00%" in lines["light"]
    assert "met" in lines["light"]
    assert "9.00%" in lines["heavy"]
    assert "missed" in lines["heavy"]
    assert "A/A light" in text


def test_the_summary_names_what_was_missed() -> None:
    text = summary([MET, MISSED, PLAIN])

    assert text.startswith("1 of 2 targets reached")
    assert "heavy: 9.00%, target 3.00%" in text


def test_a_bar_marks_its_target_and_stays_in_its_place() -> None:
    assert bar(1.0, None, 1.0) == "█" * 40
    assert bar(0.5, 0.75, 1.0) == "█" * 20 + " " * 10 + "|"
    assert bar(9.0, None, 1.0) == "█" * 40
    assert bar(0.0, None, 0.0) == ""
