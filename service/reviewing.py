"""The words of human review: queues, claims, verdicts, and what they come to.

How urgent a case is, what state its verdicts put it in and whether a verdict keeps to
its queue's rubric is said here once, as functions of plain data. The store keeps
what is said here; routes and pages show it.

Architecture invariant: no torch, no SQL and no HTTP in this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.domain import CaseState
from service.review_errors import DraftRefused, QueueRefused

DEFAULT_QUEUE = "default"
"""The queue that flags join. It is there after migration and cannot be deleted."""

BAND_SHARES = (0.125, 0.25, 0.5, 1.0)
"""Where bands 1 to 4 begin: distance above the threshold, as a share of the threshold's size."""

REVIEWERS_MAX = 10
NAME_CHARS_MAX = 64
TEXT_CHARS_MAX = 10_000
LEASE_SECONDS_MAX = 24 * 3600
CONFIDENCE_MAX = 5


def band_of(statistic: float, threshold: float) -> int:
    """How far above its threshold a statistic is, from 0 to 4.

    Both are logits, and a logit's size says little by itself: a probe fitted under a weak
    penalty has large ones throughout. So the distance is measured as a share of the
    threshold's size, or of 1 where the threshold is smaller, as tolerances are elsewhere.
    Band 0 is less than an eighth, at or below the threshold, or not known.
    """
    size = max(1.0, abs(threshold))
    return sum(statistic - threshold >= share * size for share in BAND_SHARES)


def state_of(reviewers: int, labels: Sequence[str], *, adjudicated: bool) -> CaseState:
    """The state that a case's verdicts put it in. Who holds it has no part in that.

    Args:
        reviewers: how many verdicts the case wants.
        labels: those that its reviewers gave and that were not undone.
        adjudicated: whether an adjudicator has ruled, and that was not undone.
    """
    if adjudicated:
        return CaseState.CLOSED
    if not labels:
        return CaseState.OPEN
    if len(labels) < reviewers:
        return CaseState.NEEDS_SECOND
    return CaseState.CLOSED if len(set(labels)) == 1 else CaseState.ADJUDICATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word of a rubric with the sentence that says when to use it."""

    name: str
    """The word itself: a label, or a clause's number in the policy."""
    sentence: str
    """When it applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """What a reviewer chooses from."""

    labels: tuple[Term, ...]
    """What a case may be called; two at least."""
    clauses: tuple[Term, ...] = ()
    """The policy's clauses that a verdict may name."""

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise QueueRefused("labels", "two labels or more", f"{len(self.labels)}")
        for what, terms in (("labels", self.labels), ("clauses", self.clauses)):
            names = [term.name for term in terms]
            if len(set(names)) != len(names):
                raise QueueRefused(what, "each name once", f"{names}")
            for term in terms:
                _require_name(what, term.name)
                if not term.sentence.strip() or len(term.sentence) > TEXT_CHARS_MAX:
                    raise QueueRefused(what, f"a sentence with {term.name!r}", "none, or a book")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How the cases of one queue are reviewed."""

    name: str
    """Names the queue; it never changes."""
    rubric: Rubric
    """What its reviewers choose from."""
    reviewers: int = 1
    """Verdicts that a case wants, 1 to 10. A case keeps the number it was made with."""
    blinded: bool = True
    """Whether reviewers judge before they see what the probes said."""
    blurred: bool = False
    """Whether text stays covered until a reviewer uncovers it."""
    reason_required: bool = False
    """Whether a verdict gives its reason."""
    clause_required: bool = False
    """Whether a verdict names a clause."""
    lease_seconds: int = 600
    """How long a claim lasts without a sign of life."""

    def __post_init__(self) -> None:
        _require_name("name", self.name)
        _require_within("reviewers", self.reviewers, REVIEWERS_MAX)
        _require_within("lease_seconds", self.lease_seconds, LEASE_SECONDS_MAX)
        if self.clause_required and not self.rubric.clauses:
            raise QueueRefused("clause_required", "a rubric with clauses", "a rubric without any")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right of one reviewer to rule on one case for a while."""

    case: int
    """The case's number."""
    queue: str
    """The queue it is in."""
    holder: str
    """Whose claim it is."""
    fence: int
    """Counts up with every claim of the case, so that an old claim is known as one."""
    lease_until: datetime
    """When it ends unless `beat` extends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStanding:
    """Where a case stands at one moment, without a word of it."""

    case: int
    """The case's number."""
    queue: str
    """The queue it is in."""
    state: CaseState
    """`IN_REVIEW` while somebody holds it who would be the first to rule."""
    band: int
    """How far above its threshold it was, 0 to 4."""
    reviewers: int
    """Verdicts that it wants, as its queue wanted when it was made."""
    assigned_to: str | None
    """The only one who may claim it next; None for anybody."""
    holder: str | None
    """Who holds it now; None when nobody does, or their lease has ended."""
    lease_until: datetime | None
    """When the holder's lease ends."""
    created_at: datetime
    """When it joined its queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a reviewer wants to say of a case."""

    label: str
    """One of the rubric's."""
    confidence: int
    """1, a guess, to 5, certain."""
    reason: str = ""
    """Why, in the reviewer's words."""
    clause: str | None = None
    """The clause of the policy that it rests on."""
    span: tuple[int, int] | None = None
    """The answer's tokens that show it: first, and one past the last."""
    comment: str = ""
    """Anything else."""

    def require(self, queue: Queue, tokens: int) -> None:
        """Refuse a draft that does not keep to its queue's rubric.

        Args:
            queue: the case's queue.
            tokens: how many tokens the case's answer has.

        Raises:
            DraftRefused: names the first field that does not.
        """
        rubric = queue.rubric
        _require_term("label", self.label, rubric.labels)
        if type(self.confidence) is not int or not 1 <= self.confidence <= CONFIDENCE_MAX:
            raise DraftRefused("confidence", f"a whole number from 1 to {CONFIDENCE_MAX}")
        if queue.reason_required and not self.reason.strip():
            raise DraftRefused("reason", f"a reason, which queue {queue.name!r} wants")
        if queue.clause_required and self.clause is None:
            raise DraftRefused("clause", f"a clause, which queue {queue.name!r} wants")
        if self.clause is not None:
            _require_term("clause", self.clause, rubric.clauses)
        if self.span is not None and not 0 <= self.span[0] < self.span[1] <= tokens:
            raise DraftRefused("span", f"a stretch of tokens between 0 and {tokens}")
        for field in ("reason", "comment"):
            if len(getattr(self, field)) > TEXT_CHARS_MAX:
                raise DraftRefused(field, f"{TEXT_CHARS_MAX} characters at most")


class VerdictKind(StrEnum):
    """What an entry among a case's verdicts is."""

    REVIEW = "review"
    """One of the verdicts that the case wants."""
    ADJUDICATION = "adjudication"
    """The last word where reviewers disagree."""
    UNDO = "undo"
    """Takes an earlier entry back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one person said of one case. Entries are only ever added."""

    id: int
    """Rises with every entry."""
    case: int
    """The case's number."""
    kind: VerdictKind
    """What it is."""
    author: str
    """Who said it."""
    at: datetime
    """When."""
    label: str | None
    """What the case was called; None exactly for an undo."""
    confidence: int | None
    """1, a guess, to 5, certain; None exactly for an undo."""
    reason: str
    """Why, in the author's words."""
    clause: str | None
    """The clause of the policy that it rests on."""
    span: tuple[int, int] | None
    """The answer's tokens that show it: first, and one past the last."""
    comment: str
    """Anything else."""
    probe: str
    """The probe that flagged the case."""
    probe_version: str
    """Its version."""
    blinded: bool
    """Whether the queue was blinded when the verdict was given."""
    fence: int
    """The claim under which it was given; for an undo, the newest claim of the case."""
    undoes: int | None
    """The entry that it takes back; None unless it is an undo."""


def _require_name(what: str, name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > NAME_CHARS_MAX:
        raise QueueRefused(what, f"names of 1 to {NAME_CHARS_MAX} characters", f"{name!r}")


def _require_within(what: str, number: int, most: int) -> None:
    if type(number) is not int or not 1 <= number <= most:
        raise QueueRefused(what, f"a whole number from 1 to {most}", f"{number!r}")


def _require_term(field: str, name: str, terms: Sequence[Term]) -> None:
    names = [term.name for term in terms]
    if name not in names:
        raise DraftRefused(field, f"one of {', '.join(names)}" if names else f"no {field}")
