"""One pass over the chain that never loses its place.

A line that does not follow the one before is a break. Mostly the next line follows it
again, and the break stays where it is. Where lines were put in or taken out and all
behind them were given new numbers, every later line would be a break; so at a break the
walk looks for the number that a line had when it was added:

- it follows an earlier line that was sound: what stands between the two was inserted;
- it follows the broken line before it under other numbers: both are sound, and what is
  missing before them was deleted.

A hash that fits by accident is out of the question, so what is found so is certain.
Only what stands near a break is kept, however long the chain is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from service.store.chain import GENESIS
from service.store.lines import Head, Line

_T = TypeVar("_T")

_REMEMBERED_LINES = 10_000
"""How many lines may be inserted with right hashes, and the place still be told."""
_NEAR_LINES = 64
"""How far around its place every line that breaks is looked for."""
_SHIFT_MAX = 10_000
"""How far around where the second line in a row breaks, as behind a deletion."""
_TRIES_MAX = 500_000
"""Hashes that are spent on looking for places in all; some two seconds."""
BREAKS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A line that follows the one before."""

    id: int
    """The number under which it stands."""
    number: int
    """The number under which it was added."""
    hash: str
    """Its link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A line that does not follow the one before."""

    line: Line
    """The line as it stands."""
    number: int
    """The number under which it was added, as far as that is known."""
    previous: str
    """The link that it should follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Numbers under which nothing stands any more."""

    first: int
    """The first of them."""
    last: int
    """The last of them."""
    previous: str
    """The link that the first of them followed."""


class Walk:
    """Takes in a chain, line by line, and remembers what is wrong with it."""

    def __init__(self, anchored: Mapping[int, tuple[str, ...]], counted: int = 0) -> None:
        """Begin before the first line.

        Args:
            anchored: the links that anchors name, by the number of the line.
            counted: how many lines there should be, as far as anybody says.
        """
        self.breaks: list[Break] = []
        self.breaks_more = 0
        self.missing: list[Missing] = []
        self.inserted: list[tuple[int, int]] = []
        self.renumbered: list[int] = []
        self.confirmed: int | None = None
        """The highest number at which an anchor agrees."""
        self.refuted: list[tuple[int, int]] = []
        """Numbers at which an anchor disagrees, each with the last before it that agrees."""
        self.lines = 0
        self.id, self.number, self.hash = 0, 0, GENESIS
        self._anchored = anchored
        self._sound = deque([Sound(id=0, number=0, hash=GENESIS)], maxlen=_REMEMBERED_LINES)
        self._counted = counted
        self._unsure = 0
        self._tries = 0
        self._compare(0, GENESIS)

    @property
    def shift(self) -> int:
        """How much higher the number of the last line was when it was added."""
        return self.number - self.id

    @property
    def ends_in_a_break(self) -> bool:
        """Whether the last line does not follow the one before."""
        return bool(self.breaks) and self.breaks[-1].line.id == self.id

    def take(self, line: Line, after: Line | None, head: Head | None) -> None:
        """Go on to the next line.

        Args:
            line: the line.
            after: the line behind it; None at the end.
            head: where the chain says that it ends; needed at the end.
        """
        self.lines += 1
        if line.id < 1:
            self.inserted.append((line.id, line.id))
            return
        number = line.id + self.shift
        if line.id > self.id + 1:
            self._step_over(line, number)
        elif line.follows(self.hash, number):
            self._stand_on(line, number)
        elif not (self._rejoin(line, after, head) or self._renumber(line)):
            self._stumble(line, number, self.hash)

    def end(self, head: Head | None) -> None:
        """Settle what only the head can tell: the last line, behind some that were deleted."""
        if head is None or not self.ends_in_a_break:
            return
        if self.hash == head.hash and head.length > self.number:
            before = self._sound[-1]
            self.breaks.pop()
            self._miss(before.number + 1, head.length - 1, before.hash)
            self.number = head.length

    def _step_over(self, line: Line, number: int) -> None:
        """Numbers are missing; what the line follows is known only if an anchor kept it."""
        self._miss(self.number + 1, number - 1, self.hash)
        known = self._anchored.get(number - 1, ())
        if len(known) == 1 and not line.follows(known[0], number):
            self._stumble(line, number, known[0])
            return
        self._unsure = 0
        self._stand_on(line, number, sure=bool(known))

    def _stand_on(self, line: Line, number: int, *, sure: bool = True) -> None:
        if self._unsure and self._sound[-1].id == self.id:
            self._compare(self.number, self.hash)
        self._sound.append(Sound(id=line.id, number=number, hash=line.hash))
        self.id, self.number, self.hash = line.id, number, line.hash
        self._unsure = 0 if sure else 1
        if sure:
            self._compare(number, line.hash)

    def _stumble(self, line: Line, number: int, previous: str) -> None:
        if len(self.breaks) < BREAKS_MAX:
            self.breaks.append(Break(line=line, number=number, previous=previous))
        else:
            self.breaks_more += 1
        self._unsure += 1
        self.id, self.number, self.hash = line.id, number, line.hash

    def _rejoin(self, line: Line, after: Line | None, head: Head | None) -> bool:
        """Whether this line follows an earlier one, and the line behind it follows this one."""
        for before in self._tried(islice(reversed(self._sound), _NEAR_LINES)):
            number = before.number + 1
            if line.follows(before.hash, number):
                if not _goes_on(line, number, after, head):
                    return False
                self._put_in(before, line.id - 1)
                self._stand_on(line, number)
                return True
        return False

    def _put_in(self, before: Sound, last: int) -> None:
        """All lines behind `before` up to `last` were inserted, and what they said is void."""
        self.inserted.append((before.id + 1, last))
        self._unsure = 0
        while self._sound[-1] is not before:
            self._sound.pop()
        while self.breaks and self.breaks[-1].line.id > before.id:
            self.breaks.pop()
        while self.missing and self.missing[-1].first > before.number:
            self.missing.pop()
        while self.refuted and self.refuted[-1][0] > before.number:
            self.refuted.pop()

    def _renumber(self, line: Line) -> bool:
        """Whether this line and the unsure one before it follow each other somewhere else."""
        if not self._unsure:
            return False
        far = _SHIFT_MAX if self._unsure == 1 else _NEAR_LINES
        for number in self._tried(self._numbers_around(line.id + self.shift, far)):
            if line.follows(self.hash, number):
                self._move(number - 1)
                self._stand_on(line, number)
                return True
        return False

    def _numbers_around(self, number: int, far: int) -> Iterator[int]:
        """What number a line could have: the one that closes the gap before, then the nearest."""
        most = max(self._counted, number) + _NEAR_LINES
        before = self._sound[-2] if self._sound[-1].id == self.id else self._sound[-1]
        yield before.number + 2
        for distance in range(1, far + 1):
            if number + distance <= most:
                yield number + distance
            if number - distance > 1:
                yield number - distance

    def _move(self, number: int) -> None:
        """The line before is sound as the line of another number."""
        if self.ends_in_a_break:
            self.breaks.pop()
        elif self._sound[-1].id == self.id:
            self._sound.pop()
        while self.missing and self.missing[-1].first > self._sound[-1].number:
            self.missing.pop()
        before = self._sound[-1]
        if number > before.number + 1:
            self._miss(before.number + 1, number - 1, before.hash)
        elif number == before.number + 1:
            self.renumbered.append(self.id)
        else:
            origin = next((s for s in reversed(self._sound) if s.number < number), before)
            self._put_in(origin, self.id - 1)
        self._sound.append(Sound(id=self.id, number=number, hash=self.hash))
        self.number, self._unsure = number, 0
        self._compare(number, self.hash)

    def _miss(self, first: int, last: int, previous: str) -> None:
        self.missing.append(Missing(first=first, last=last, previous=previous))

    def _tried(self, places: Iterator[_T]) -> Iterator[_T]:
        for place in places:
            if self._tries >= _TRIES_MAX:
                return
            self._tries += 1
            yield place

    def _compare(self, number: int, link: str) -> None:
        for kept in self._anchored.get(number, ()):
            if kept == link:
                self.confirmed = number
            else:
                self.refuted.append((number, self.confirmed or 0))


def _goes_on(line: Line, number: int, after: Line | None, head: Head | None) -> bool:
    if after is not None:
        return after.follows(line.hash, number + 1)
    return head is not None and head.hash == line.hash
