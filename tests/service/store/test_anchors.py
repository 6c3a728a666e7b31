"""Anchors are read back as they were kept, and what is none is left out aloud."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.store.anchors import Anchor, NoAnchors, read_anchors

ANCHOR = Anchor(at=datetime(2026, 11, 27, 12, tzinfo=UTC), length=17, hash="ab" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "anchors.jsonl"


def test_an_anchor_is_read_back_as_it_was_written(file: Path) -> None:
    file.write_text(ANCHOR.as_line() + "\n")

    assert read_anchors(file).anchors == (ANCHOR,)


def test_what_a_systems_log_writes_in_front_does_no_harm(file: Path) -> None:
    file.write_text(f"Nov 27 12:00:00 gateway probewatch: {ANCHOR.as_line()}\n")

    assert read_anchors(file).anchors == (ANCHOR,)


def test_a_head_that_was_kept_often_is_one_anchor_of_the_first_time(file: Path) -> None:
    """A quiet week must not fill the memory of whoever verifies."""
    later = Anchor(at=datetime(2026, 11, 28, tzinfo=UTC), length=17, hash="ab" * 32)
    file.write_text("".join(f"{kept.as_line()}\n" for kept in (ANCHOR, later, later)))

    assert read_anchors(file).anchors == (ANCHOR,)


def test_two_hashes_for_one_length_are_both_kept(file: Path) -> None:
    """They contradict each other: one is of a chain that was made anew."""
    other = Anchor(at=ANCHOR.at, length=17, hash="cd" * 32)
    file.write_text(f"{ANCHOR.as_line()}\n{other.as_line()}\n")

    assert read_anchors(file).anchors == (ANCHOR, other)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        '{"at": "2026-11-27T12:00:00+00:00", "length": 1',
        '{"at": "2026-11-27T12:00:00", "length": 1, "hash": "' + "ab" * 32 + '"}',
        '{"at": "2026-11-27T12:00:00+00:00", "length": -1, "hash": "' + "ab" * 32 + '"}',
        '{"at": "2026-11-27T12:00:00+00:00", "length": true, "hash": "' + "ab" * 32 + '"}',
        '{"at": "2026-11-27T12:00:00+00:00", "length": 1, "hash": "abc"}',
        '{"at": 5, "length": 1, "hash": "' + "ab" * 32 + '"}',
        '{"at":' * 100_000,
        '["at", "length", "hash"]',
        "{}",
    ],
)
def test_a_line_that_is_no_anchor_is_named_and_hides_no_other(file: Path, line: str) -> None:
    file.write_text(f"{line}\n\n{ANCHOR.as_line()}\n")

    found = read_anchors(file)

    assert (found.anchors, found.unread) == ((ANCHOR,), (1,))


def test_an_empty_file_holds_no_anchors(file: Path) -> None:
    file.touch()

    assert read_anchors(file).anchors == ()


def test_a_file_of_something_else_is_refused(file: Path) -> None:
    """Else a wrong name would pass for a chain that was never anchored."""
    file.write_bytes(b"\xff\xfe\n# Notes\n")

    with pytest.raises(NoAnchors, match="line 1 is none"):
        read_anchors(file)


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(NoAnchors, match="No such file"):
        read_anchors(file)
