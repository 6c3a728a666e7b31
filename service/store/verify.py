"""Whether the audit is the chain that was written: gone through once, line by line.

Three things have to agree: the lines among themselves, the head with the last line, and
the anchors with the lines they name. The chain may grow meanwhile: the head is read after
the lines, so it counts no fewer than were seen, and lines that it counts are waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from service.store.anchors import Anchor
from service.store.chain import GENESIS
from service.store.explain import explain_breaks, explain_places, is_moved
from service.store.findings import Finding, Kind, are, concerned, entries
from service.store.lines import Head, Line, head_row, line_at, lines_after, numbers_with_hash
from service.store.walk import Missing, Walk

Progress = Callable[[int, int], None]
"""Called with the lines gone through and how many there are in all."""

_TOLD_EVERY_LINES = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found of a chain."""

    entries: int
    """How many lines were gone through."""
    head: str
    """The link of the last line; `chain.GENESIS` where there is none."""
    findings: tuple[Finding, ...]
    """What is wrong, in the order of the chain; empty when it is whole."""
    anchors: int
    """How many anchors it was compared with."""
    anchored: Anchor | None
    """The anchor with the most lines that agrees; None where none does."""

    @property
    def whole(self) -> bool:
        """Whether lines, head and anchors agree."""
        return not self.findings


def verify_chain(
    connection: Connection, anchors: Sequence[Anchor], progress: Progress | None = None
) -> Verification:
    """Go through the chain that a connection sees, in the order of its numbers."""
    lines = _Lines(connection)
    counted = [lines.head.length] if lines.head else []
    walk = Walk(_links(anchors), max((*counted, *(anchor.length for anchor in anchors)), default=0))
    _walk_through(lines, walk, progress)
    judged = _Judge(connection, walk, lines.head, anchors).findings()
    best = [anchor for anchor in anchors if anchor.length == walk.confirmed]
    return Verification(
        entries=walk.lines,
        head=walk.hash,
        findings=tuple(sorted(judged, key=lambda finding: finding.numbers)),
        anchors=len(anchors),
        anchored=best[0] if best else None,
    )


def _walk_through(lines: _Lines, walk: Walk, progress: Progress | None) -> None:
    ahead: Line | None = None
    for line in lines:
        if ahead is not None:
            walk.take(ahead, line, None)
            if progress is not None and walk.lines % _TOLD_EVERY_LINES == 0:
                progress(walk.lines, lines.head.length if lines.head else 0)
        ahead = line
    if ahead is not None:
        walk.take(ahead, None, lines.head)
    walk.end(lines.head)


class _Lines:
    """Every line, those that join meanwhile too, and a head that counts no fewer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.head = head_row(connection)
        """At the end: read after the last line, or before it was looked for in vain."""

    def __iter__(self) -> Iterator[Line]:
        number, awaited = None, False
        while True:
            grew = False
            for line in lines_after(self._connection, number):
                number, grew = line.id, True
                yield line
            if awaited and not grew:
                return
            self.head = head_row(self._connection)
            if self.head is None or self.head.length <= (number or 0):
                return
            awaited = True


class _Judge:
    """Turns what a walk remembers into findings."""

    def __init__(
        self, connection: Connection, walk: Walk, head: Head | None, anchors: Sequence[Anchor]
    ) -> None:
        self._walk, self._head, self._anchors = walk, head, anchors
        self._line_at = partial(line_at, connection)
        self._numbers_with = partial(numbers_with_hash, connection, limit=2)
        self._breaks, self._missing = list(walk.breaks), list(walk.missing)
        self._inserted = list(walk.inserted)
        self._found: list[Finding] = []
        self._anchored = _links(anchors)

    def findings(self) -> list[Finding]:
        """All that is wrong."""
        self._judge_head()
        self._judge_end()
        places = explain_places(self._inserted, self._missing, self._line_at, self._numbers_with)
        self._found += places + explain_breaks(self._breaks, self._anchored)
        self._found += (_renumbered(number) for number in self._walk.renumbered)
        if self._walk.breaks_more:
            self._found.append(_more(self._walk.breaks[-1].number, self._walk.breaks_more))
        self._judge_anchors()
        return self._found

    def _judge_head(self) -> None:
        walk, head = self._walk, self._head
        if head is None:
            self._say(Kind.HEAD, walk.number, walk.number, "its row is missing or holds no number")
        elif head.hash == walk.hash:
            if head.length not in (walk.number, walk.id):
                told = f"it counts {head.length}, and its hash is that of entry {walk.number}"
                self._say(Kind.HEAD, walk.number, walk.number, told)
        elif head.length == walk.number:
            if not walk.ends_in_a_break:
                self._judge_last(head)
        elif head.length < walk.number:
            self._judge_beyond(head)

    def _judge_last(self, head: Head) -> None:
        """The head has another hash than the last line, which is sound."""
        number = self._walk.number
        kept = {anchor.hash for anchor in self._anchors if anchor.length == number}
        if head.hash in kept:
            told = f"entry {number} was changed together with its hash; head and anchor agree"
            self._say(Kind.EDITED, number, number, told)
            return
        told = f"its hash is not that of entry {number}, which is the last"
        perhaps = None if kept else Kind.EDITED
        if perhaps:
            told += f"; or entry {number} was changed together with its hash"
        self._say(Kind.HEAD, number, number, told, perhaps)

    def _judge_beyond(self, head: Head) -> None:
        """There are more lines than the head counts."""
        first, last = head.length + 1, self._walk.number
        told = f"it counts {head.length}, but {entries(first, last)} {are(first, last)} there"
        if head.hash != self._hash_at(head.length):
            self._say(Kind.HEAD, first, last, told)
        elif any(b.number >= first for b in self._breaks) or any(
            m.first >= first for m in self._missing
        ):
            self._put_behind(first)
        elif (self._walk.confirmed or 0) >= first:
            self._say(Kind.HEAD, first, last, f"{told} and anchored")
        else:
            told += ", and they follow: or somebody who knew the chain added them"
            self._say(Kind.HEAD, first, last, told, Kind.INSERTED)

    def _put_behind(self, first: int) -> None:
        """What stands behind the line that the head names, and does not follow, was inserted."""
        shift = self._walk.shift
        begins = first
        for gone in self._missing:
            if gone.first == first:
                begins = gone.last + 1
        self._inserted.append((begins - shift, self._walk.id))
        self._breaks = [b for b in self._breaks if b.number < first]
        self._missing = [m for m in self._missing if m.first < first]

    def _judge_end(self) -> None:
        """Lines that the head or an anchor counts, and that are not there."""
        walk, head = self._walk, self._head
        last, whose = walk.number, "the head"
        if head is not None and head.hash != walk.hash:
            last = max(last, head.length)
        perhaps: Kind | None = Kind.HEAD
        for anchor in self._anchors:
            if anchor.length >= last and anchor.length > walk.number:
                last, whose, perhaps = anchor.length, f"the anchor of {_date(anchor)}", None
        if last == walk.number:
            return
        gone = Missing(first=walk.number + 1, last=last, previous=walk.hash)
        stretches = ((self._line_at(first), end - first) for first, end in self._inserted)
        if any(line is not None and is_moved(line, more, gone) for line, more in stretches):
            self._missing.append(gone)
            return
        where = f"{entries(gone.first, last)} {are(gone.first, last)} missing at the end"
        told = f"{where}: {whose} counts {last}"
        if perhaps:
            told += ", if nobody replaced it"
        self._say(Kind.TRUNCATED, gone.first, last, told, perhaps)

    def _judge_anchors(self) -> None:
        """An anchor that disagrees with a sound line, where nothing else explains it."""
        known = [f for f in self._found if f.kind in (Kind.EDITED, Kind.SWAPPED)]
        for number, agreed in self._walk.refuted:
            if concerned(known, number):
                continue
            against = next(a for a in self._anchors if a.length == number)
            told = (
                f"the chain is not the anchored one from between {entries(agreed + 1, number)} on: "
                f"the anchor of {_date(against)} has {against.hash[:16]}... for entry {number}; "
                "or these anchors are of another database"
            )
            self._say(Kind.REWRITTEN, agreed + 1, number, told)
            return

    def _hash_at(self, number: int) -> str:
        line = self._line_at(number - self._walk.shift)
        return line.hash if line is not None else GENESIS if number == 0 else ""

    def _say(
        self, kind: Kind, first: int, last: int, told: str, perhaps: Kind | None = None
    ) -> None:
        self._found.append(Finding(kind=kind, numbers=(first, last), told=told, perhaps=perhaps))


def _links(anchors: Sequence[Anchor]) -> dict[int, tuple[str, ...]]:
    """What anchors say of a line, by its number; two that contradict each other stay two."""
    found: dict[int, tuple[str, ...]] = {}
    for anchor in anchors:
        found[anchor.length] = (*found.get(anchor.length, ()), anchor.hash)
    return found


def _renumbered(number: int) -> Finding:
    told = f"what stands from {number} on has other numbers than it was added with"
    return Finding(kind=Kind.REORDERED, numbers=(number, number), told=told)


def _more(after: int, many: int) -> Finding:
    told = f"{many} more entries after entry {after} do not say what they were added with"
    return Finding(kind=Kind.EDITED, numbers=(after, after + many), told=told)


def _date(anchor: Anchor) -> str:
    return anchor.at.isoformat(" ", "seconds")
