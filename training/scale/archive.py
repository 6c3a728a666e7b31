"""An archive of transcripts: JSON lines, each with an `id` and `messages`.

It may be larger than memory, so it is read in chunks of a few lines, which any process
that sees the file can read by itself. Other fields than the two are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from training.datasets.schema import Example, example_of, problems_of
from training.scale.errors import ArchiveUnreadable, TranscriptUnusable

CHUNK_LINES = 256
"""So many transcripts are scored together, neighbours in length in one forward pass."""
_UNLABELLED = {
    "label": "honest",
    "kind": "honest",
    "family": "archive",
    "situation": "archive",
    "source": "archive",
}
"""What the schema of data sets wants beside the two fields; nothing here reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line that is not blank."""

    number: int
    """Counted from 1."""
    data: bytes
    """What it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Neighbouring lines of an archive."""

    archive: Path
    """The file, by its whole path."""
    first: int
    """Number of the first line."""
    lines: int
    """How many there are, blank ones counted."""
    begin: int
    """First byte."""

    def read(self) -> Iterator[Line]:
        """Its lines, without the blank ones."""
        with self.archive.open("rb") as file:
            file.seek(self.begin)
            for number, data in enumerate(islice(file, self.lines), start=self.first):
                if data.strip():
                    yield Line(number=number, data=data)


def chunks(archive: Path) -> Iterator[Chunk]:
    """An archive chunk by chunk; the file is read once and nothing is kept.

    Raises:
        ArchiveUnreadable: there is no such file, or it cannot be opened.
    """
    first, begin = 1, 0
    try:
        with archive.open("rb") as file:
            while lines := list(islice(file, CHUNK_LINES)):
                yield Chunk(archive=archive.absolute(), first=first, lines=len(lines), begin=begin)
                first, begin = first + len(lines), begin + sum(map(len, lines))
    except OSError as error:
        raise ArchiveUnreadable(str(archive), error.strerror or str(error)) from error


def transcript(line: Line, archive: Path) -> Example:
    """A line as an exchange that can be rendered.

    Raises:
        TranscriptUnusable: no UTF-8, no JSON, no id, or no sound messages.
    """
    where = f"{archive.name}:{line.number}"
    try:
        found = json.loads(line.data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TranscriptUnusable(where, f"not UTF-8 (byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise TranscriptUnusable(where, f"bad JSON ({error})") from error
    if isinstance(found, dict):
        found = {key: found[key] for key in ("id", "messages") if key in found} | _UNLABELLED
    problems = list(problems_of(found))
    if problems:
        raise TranscriptUnusable(where, ", ".join(problems))
    return example_of(found, where)
