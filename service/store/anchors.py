"""Heads of the audit's chain, kept where whoever owns the database cannot reach them.

An anchor is one line of JSON, in a file, in the system's log or sent to a webhook:

    {"at": "2026-11-27T12:00:00.000000+00:00", "length": 17, "hash": "64 hex digits"}

A line is read from its first brace on, so what a system's log writes in front does no
harm. Anchors belong to one database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.store.errors import StoreError

_LINK = re.compile(r"[0-9a-f]{64}")
_LENGTH_MAX = 2**63 - 1


class NoAnchors(StoreError):
    """A file that should hold anchors holds none that can be read."""

    code = "no_anchors"

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"expected anchors in {path}, one JSON object a line, but {found}; "
            "name a file of anchors, or begin one with `probewatch audit anchor`"
        )
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where a chain ended at a moment."""

    at: datetime
    """When it was looked at, with time zone."""
    length: int
    """How many lines it had."""
    hash: str
    """The link of the last of them, 64 hex digits; `chain.GENESIS` while there are none."""

    def as_line(self) -> str:
        """The anchor as one line of JSON, without its end."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return json.dumps({"at": at, "length": self.length, "hash": self.hash})


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorFile:
    """What a file of anchors holds."""

    anchors: tuple[Anchor, ...]
    """Each head once, with the moment at which it was first kept, in the file's order."""
    unread: tuple[int, ...]
    """Numbers of lines that are no anchors, such as one that a power cut broke off."""


def read_anchors(path: Path) -> AnchorFile:
    """All anchors of a file. An empty one holds none.

    Raises:
        NoAnchors: the file cannot be read, or it has lines and none of them is an anchor.
    """
    found: dict[tuple[int, str], Anchor] = {}
    unread = []
    for number, line in _lines(path):
        anchor = _anchor(line)
        if anchor is None:
            unread.append(number)
        else:
            found.setdefault((anchor.length, anchor.hash), anchor)
    if unread and not found:
        raise NoAnchors(path, f"line {unread[0]} is none, and neither is any other")
    return AnchorFile(anchors=tuple(found.values()), unread=tuple(unread))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise NoAnchors(path, f"it cannot be read ({error.strerror})") from None


def _anchor(line: str) -> Anchor | None:
    try:
        found = json.loads(line[line.find("{") :])
        at = datetime.fromisoformat(found["at"])
        length, link = found["length"], found["hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    sound = type(length) is int and 0 <= length <= _LENGTH_MAX and isinstance(link, str)
    if not sound or not _LINK.fullmatch(link) or at.tzinfo is None:
        return None
    return Anchor(at=at, length=length, hash=link)
