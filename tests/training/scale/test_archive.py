"""An archive is read chunk by chunk, by whoever sees the file."""

from __future__ import annotations

from pathlib import Path

import pytest

import training.scale.archive as module
from training.scale.archive import chunks


def test_a_chunk_names_its_file_by_the_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker need not stand where the work was planned."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("{}\n")

    assert [chunk.archive for chunk in chunks(Path("a.jsonl"))] == [tmp_path / "a.jsonl"]


def test_chunks_hold_every_line_that_is_not_blank_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its bytes; the number is told to people."""
    monkeypatch.setattr(module, "CHUNK_LINES", 2)
    lines = [b"one\n", b"\n", b"three\n", b"  \n", "fünf\n".encode(), b"six"]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))

    found = [line for chunk in chunks(tmp_path / "a.jsonl") for line in chunk.read()]

    assert [line.number for line in found] == [1, 3, 5, 6]
    assert [line.data for line in found] == [lines[n - 1] for n in (1, 3, 5, 6)]
