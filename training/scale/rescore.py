"""From an archive of transcripts to a file of scores, line by line and in order.

Memory holds one chunk. The output is whole lines in the archive's order, so that an
interrupted run can go on behind the last chunk that it ended: what is there is held
against the archive, line by line, before anything is added.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from probing.estimates import Estimate, rate
from training.errors import PROBLEMS_SHOWN
from training.progress import progress
from training.scale.archive import Chunk, chunks
from training.scale.errors import OutputExists, OutputOfAnother, TranscriptUnusable
from training.scale.scoring import FIELDS, Outcome, Scorer, Unusable

Work = Callable[[Sequence[Chunk]], Iterable[list[Outcome]]]
"""Scores chunks, in their order: this process, or a crew."""


@dataclass(slots=True)
class Tally:
    """What was scored so far, and where the archive goes on."""

    scored: int = 0
    """Transcripts that were scored."""
    tripped: int = 0
    """Those that would have tripped."""
    too_short: int = 0
    """Those whose answer ends before the probe may trip."""
    skipped: int = 0
    """Lines that could not be scored."""
    problems: list[str] = field(default_factory=list)
    """The first of these, and why."""

    @property
    def rate(self) -> Estimate:
        """Share of the scored that would have tripped.

        Raises:
            UndefinedEstimate: nothing was scored.
        """
        return rate(self.tripped, self.scored)

    def count(self, row: dict[str, Any]) -> None:
        """Take in a line of the output."""
        self.scored += 1
        self.tripped += row["tripped"]
        self.too_short += row["peak"] is None

    def skip(self, unusable: Unusable) -> None:
        """Take in a line that is left out."""
        self.skipped += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(f"{unusable.where}: {unusable.problem}")

    def as_json(self) -> dict[str, Any]:
        """As it stands in the summary."""
        return {
            "scored": self.scored,
            "tripped": self.rate.as_json(),
            "too_short_to_trip": self.too_short,
            "skipped": self.skipped,
            "problems": self.problems,
        }


def rescore(
    archive: Path,
    out: Path,
    *,
    scorer: Scorer,
    work: Work,
    resume: bool,
    skip_bad: bool,
    console: Console,
) -> Tally:
    """Score every transcript of an archive and write one line for each.

    Args:
        out: JSON lines `{id, peak, tripped_at, tripped, tokens, probe}`.
        scorer: judges lines here, where an interrupted run is gone over.
        work: what scores.
        resume: go on with `out`, should it exist.
        skip_bad: count lines that cannot be scored and leave them out.

    Raises:
        OutputExists: `out` is there, and `resume` was not asked for.
        OutputOfAnother: `out` was begun with another archive or probe.
        ArchiveUnreadable: there is no archive.
        TranscriptUnusable: a line cannot be scored; what stands before it is written.
        UndefinedEstimate: there was nothing to score.
    """
    if out.exists() and not resume:
        raise OutputExists(str(out))
    tally, todo = Tally(), list(chunks(archive))
    if out.exists():
        tally, todo = _resumed(todo, out, scorer, skip_bad=skip_bad)
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = sum(chunk.lines for chunk in todo)
    with (
        out.open("ab") as rows,
        progress(console, f"scoring {archive.name}", lines, "lines") as bar,
    ):
        for chunk, outcomes in zip(todo, work(todo), strict=True):
            for outcome in outcomes:
                if isinstance(outcome, Unusable):
                    _skip(tally, outcome, skip_bad=skip_bad)
                else:
                    row = outcome.as_json(scorer.ref)
                    rows.write(json.dumps(row, allow_nan=False).encode() + b"\n")
                    tally.count(row)
            rows.flush()
            bar(chunk.lines)
    return tally


def _skip(tally: Tally, unusable: Unusable, *, skip_bad: bool) -> None:
    if not skip_bad:
        raise TranscriptUnusable(unusable.where, unusable.problem)
    tally.skip(unusable)


@dataclass(frozen=True, slots=True)
class _Row:
    """A whole line of the output."""

    number: int
    size: int
    fields: dict[str, Any]


def _resumed(
    todo: list[Chunk], out: Path, scorer: Scorer, *, skip_bad: bool
) -> tuple[Tally, list[Chunk]]:
    """What an interrupted run has done, and the chunks that it has not ended.

    Of a chunk that was not ended the lines are cut off: its transcripts are read side by
    side, and how a score rounds depends on who stands beside it.
    """
    tally, kept, done = Tally(), 0, 0
    with out.open("rb") as file:
        rows = _rows(file, out, scorer)
        for chunk in todo:
            found = _ended(chunk, rows, out, scorer)
            if found is None:
                break
            done += 1
            for outcome in found:
                if isinstance(outcome, Unusable):
                    _skip(tally, outcome, skip_bad=skip_bad)
                else:
                    tally.count(outcome.fields)
                    kept += outcome.size
        for row in rows:
            raise _another(out, row, "has ended")
    os.truncate(out, kept)
    return tally, todo[done:]


def _ended(
    chunk: Chunk, rows: Iterator[_Row], out: Path, scorer: Scorer
) -> list[_Row | Unusable] | None:
    """A chunk's outcomes as the output has them; None if some are missing.

    A line of the archive without a line in the output must be one that cannot be scored:
    else it never would be, and nobody would know.
    """
    found: list[_Row | Unusable] = []
    for line in chunk.read():
        try:
            name = scorer.text_of(line, chunk.archive).id
        except TranscriptUnusable as error:
            found.append(Unusable(where=error.where, problem=error.problem))
            continue
        row = next(rows, None)
        if row is None:
            return None
        if row.fields["id"] != name:
            raise _another(out, row, f"has {name!r}")
        found.append(row)
    return found


def _another(out: Path, row: _Row, archive: str) -> OutputOfAnother:
    reason = f"the id is {row.fields['id']!r} where the archive {archive}"
    return OutputOfAnother(str(out), row.number, reason)


def _rows(file: Iterable[bytes], out: Path, scorer: Scorer) -> Iterator[_Row]:
    """The whole lines of an output; a last one that is not whole is left out."""
    for number, data in enumerate(file, start=1):
        if not data.endswith(b"\n"):
            return
        fields = _fields(data)
        if fields is None or fields["probe"] != str(scorer.ref):
            raise OutputOfAnother(str(out), number, f"there is no score by {scorer.ref}")
        yield _Row(number, len(data), fields)


def _fields(data: bytes) -> dict[str, Any] | None:
    """A whole line of the output; None if it is something else."""
    try:
        row = json.loads(data)
    except ValueError:
        return None
    return row if isinstance(row, dict) and set(row) == FIELDS else None
