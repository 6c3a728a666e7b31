"""Foreign text as it is put before people: whole, and with nothing in it that they cannot see.

A page is escaped in any case, so no text can become markup. What escaping leaves is text
that deceives the eye: characters that turn the direction of reading, that take no room, that
a browser drops or cannot send at all, and marks heaped on one letter until they cover the
lines around. Each of these is named instead (`U+202E`), so that a reader sees that it is
there, and what the model read can be told from the page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

MARKS_MAX = 4
"""Combining marks on one letter that are drawn; languages need up to three."""

_JOINERS = frozenset("\u200c\u200d")
_SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_HEAP = re.compile(rf"[^\x00-\u02ff\u0370-\u0482\u3000-\ud7ff]{{{MARKS_MAX + 1},}}")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text."""

    text: str
    """Characters as they are, or the names of characters."""
    named: bool = False
    """Whether these are names, which stand for characters that cannot be seen."""


def parts_of(text: str) -> tuple[Part, ...]:
    """A text cut into what is shown as it is and what is named."""
    found: list[Part] = []
    shown_from = 0
    for begin, end in _runs(sorted(_named(text))):
        if begin > shown_from:
            found.append(Part(text[shown_from:begin]))
        found.append(Part(_names(text[begin:end]), named=True))
        shown_from = end
    if shown_from < len(text):
        found.append(Part(text[shown_from:]))
    return tuple(found)


def _runs(places: list[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring places as stretches: begin, and one past the end."""
    begin = 0
    for at, place in enumerate(places):
        if at + 1 == len(places) or places[at + 1] != place + 1:
            yield places[begin], place + 1
            begin = at + 1


def _named(text: str) -> set[int]:
    """The places of the characters that are named."""
    places = {
        found.start()
        for found in _SPECIAL.finditer(text)
        if not (text[found.start()] in _JOINERS and _joins(text, found.start()))
    }
    for heap in _HEAP.finditer(text):
        marks = 0
        for place in range(*heap.span()):
            marks = marks + 1 if unicodedata.category(text[place]) in ("Mn", "Me") else 0
            if marks > MARKS_MAX:
                places.add(place)
    return places


def _joins(text: str, place: int) -> bool:
    """Whether a joiner does its work: it stands between letters or signs that need one."""
    around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
    return len(around) == 2 and not around.isascii() and "\u200b" not in around


def _names(piece: str) -> str:
    told = []
    for character, run in groupby(piece):
        count = sum(1 for _ in run)
        name = f"U+{ord(character):04X}"
        told.append(name if count == 1 else f"{name} × {count:,}")
    return " ".join(told)
