"""What can be wrong with a chain, as one sentence each with the place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What somebody did to the chain."""

    EDITED = "edited"
    """What a line says, or its hash, was changed."""
    INSERTED = "inserted"
    """A line stands there that nobody added by the way that lines are added."""
    DUPLICATED = "duplicated"
    """An inserted line that is a copy of another."""
    DELETED = "deleted"
    """A line within the chain is gone."""
    TRUNCATED = "truncated"
    """Lines at the end are gone."""
    SWAPPED = "swapped"
    """Two lines changed places."""
    REORDERED = "reordered"
    """Lines stand in another place than the one they were added in."""
    REWRITTEN = "rewritten"
    """The chain is sound in itself, but it is not the one that was anchored."""
    HEAD = "head replaced"
    """The row that says where the chain ends is not the one that the last line made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One tampering, as far as what is left of the chain tells."""

    kind: Kind
    """What was done."""
    numbers: tuple[int, int]
    """The first and the last line concerned; the two lines where they were swapped."""
    told: str
    """The place and what is found there, for a person."""
    perhaps: Kind | None = None
    """What else could have led to exactly this; None where nothing could."""

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.told}"

    def concerns(self, number: int) -> bool:
        """Whether a line is among those concerned."""
        if self.kind is Kind.SWAPPED:
            return number in self.numbers
        return self.numbers[0] <= number <= self.numbers[1]


def entries(first: int, last: int) -> str:
    """A stretch of lines in words."""
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def are(first: int, last: int) -> str:
    """The verb that goes with `entries`."""
    return "is" if first == last else "are"


def concerned(findings: Iterable[Finding], number: int) -> bool:
    """Whether any finding already speaks of a line."""
    return any(finding.concerns(number) for finding in findings)
