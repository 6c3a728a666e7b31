"""What an interrupted comparison had found outlives one interruption after another."""

from __future__ import annotations

from pathlib import Path

from training.journal import Journal


def test_what_is_put_down_after_a_line_that_was_cut_off_is_read(tmp_path: Path) -> None:
    """Joined to the half line, a second interruption would lose all that the second run found."""
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.add("a", [{"x": 1}])
    journal.add("b", [{"x": 2}])
    path.write_text(path.read_text()[:-8])

    journal.add("b", [{"x": 3}])
    journal.add("c", [])

    assert journal.read() == {"a": [{"x": 1}], "b": [{"x": 3}], "c": []}


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.add("a", [{"x": 1}])
    path.write_text(path.read_text()[:-1])

    journal.add("b", [])
    journal.add("c", [])

    assert journal.read() == {"a": [{"x": 1}], "b": [], "c": []}
    assert path.read_text().count("\n") == 3, "a line for each, and none empty"
