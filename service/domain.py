"""The words of the review queue as plain data: flags, cases, finished requests, deployments.

The gate fills these in, the store keeps them, routes and pages show them. None
of the three has to know another. Records are facts about the past: they are
frozen, and a change is a new record.

Architecture invariant: no torch, no SQL and no HTTP in this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.policy import Action, Decision

Outcome = Literal["scored", "unscored"]
"""How a request ended: every token that left was scored, or a reason says why none could be."""

Role = Literal["champion", "challenger"]
"""A champion decides; a challenger only records."""

Source = Literal["flag", "sample", "known_answer"]
"""Why a case waits: a crossed threshold, an unflagged answer drawn by lot, or a known answer."""


class CaseState(StrEnum):
    """Where a case stands in the review queue: what its verdicts make of it."""

    OPEN = "open"
    """Waiting for a human."""
    IN_REVIEW = "in_review"
    """Open, and somebody is at work on it. Shown and never stored: it depends on the time."""
    NEEDS_SECOND = "needs_second"
    """Ruled on, but not yet by as many as it wants."""
    ADJUDICATE = "adjudicate"
    """Ruled on by as many as it wants, who disagree."""
    CLOSED = "closed"
    """Decided."""


class KeyScope(StrEnum):
    """What an API key opens."""

    ASK = "ask"
    """Asking the model, and naming it and its probes."""
    REVIEW = "review"
    """All of that, and what is kept of everybody's conversations: requests and cases."""


def utc_now() -> datetime:
    """The present moment with its time zone; the store refuses moments without one."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of the conversation that led to an answer."""

    role: str
    """Who speaks: "system", "user" or "assistant"; "prompt" for a raw completion's text."""
    content: str
    """Its text, any Python string: NUL and lone surrogates are kept."""

    def as_json(self) -> dict[str, str]:
        """The message in the shape of the chat API."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScore:
    """What every probe said of one token of an answer."""

    position: int
    """Index among the response's tokens, from 0."""
    text: str
    """The text that became decodable with it; empty inside a multi-byte character."""
    scores: tuple[float, ...]
    """One logit per probe. Kept in float32, the precision in which scores are made."""
    statistics: tuple[float, ...]
    """One running statistic per probe after this token, in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """The durable record that a stream crossed a threshold. The only place that holds text."""

    id: str
    """Names this flag in logs and in answers."""
    request_id: str
    """The request that was flagged. A request has one flag at most."""
    created_at: datetime
    """When the threshold was crossed, with time zone."""
    model: str
    """Name of the model that answered."""
    probe_set: str
    """Digest of all probes that were scoring."""
    probe: str
    """Name of the probe that crossed first; one of `probes`."""
    probe_version: str
    """Its version in the probe store."""
    threshold: float
    """Its threshold at that moment."""
    statistic: float
    """Its running statistic at the crossing step; at or above the threshold."""
    step: int
    """Position of the response token that crossed, from 0."""
    decision: Decision
    """What the policy made of it."""
    action: Action
    """The policy in force for this request."""
    release_rule: str
    """"scored" or "immediate"."""
    messages: tuple[Message, ...]
    """The conversation up to the answer."""
    answer_so_far: str
    """The answer up to and including the crossing token, or all of it once extended."""
    probes: tuple[str, ...]
    """Names of the probes behind every token's scores, in that order."""
    tokens: tuple[TokenScore, ...]
    """The answer's tokens that were read, in order."""
    source: Source = "flag"
    """Why it waits for a human."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A flag waiting for a human."""

    id: int
    """Rises with every new case, so newest first is highest first."""
    state: CaseState
    """Where it stands in the queue."""
    created_at: datetime
    """When it joined the queue."""
    flag: Flag
    """What is to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSummary:
    """A case as the queue lists it: no text and no tokens.

    Its words are those of the row, unread: a row that somebody damaged is listed too,
    and only opening it fails.
    """

    id: int
    """The case's number."""
    state: str
    """Where it stands in the queue; a `CaseState` unless somebody changed the row."""
    created_at: datetime
    """When it joined the queue."""
    source: str
    """Why it waits for a human."""
    request_id: str
    """The request that was flagged."""
    model: str
    """Name of the model that answered."""
    probe_set: str
    """Digest of all probes that were scoring."""
    probe: str
    """Name of the probe that crossed first."""
    probe_version: str
    """Its version in the probe store."""
    threshold: float
    """Its threshold at that moment."""
    statistic: float
    """Its running statistic at the crossing step."""
    step: int
    """Position of the response token that crossed, from 0."""
    release_rule: str
    """"scored" or "immediate"."""
    decision: str
    """What the policy made of it, in its own word."""
    action: str
    """The policy in force for this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePage:
    """A stretch of the queue, newest first."""

    cases: tuple[CaseSummary, ...]
    """At most as many as were asked for."""
    next_cursor: int | None
    """What to pass as `before` for the next page; None at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """How one request ended, without a word of its text."""

    id: str
    """The request's id, the same as in its answer and its flag."""
    created_at: datetime
    """When it arrived, with time zone."""
    model: str
    """Name of the model that answered."""
    route: str
    """The route's template, such as "/v1/chat/completions"."""
    probe_set: str
    """Digest of the probes that scored it."""
    action: Action
    """The policy in force."""
    release_rule: str
    """"scored" or "immediate"."""
    outcome: Outcome
    """Exactly one of the two."""
    reason: str | None
    """A code that says why it is unscored; None exactly when it is scored."""
    decision: Decision
    """The last decision of the policy."""
    tripped_at: int | None
    """Position of the first crossing token; None when none crossed."""
    tokens_scored: int
    """Response tokens that were read and scored."""
    tokens_released: int
    """Response tokens that left for the client."""
    tokens_released_unscored: int
    """Those of them that left before their score was known."""
    peaks: Mapping[str, float]
    """Each probe's highest statistic; minus infinity or left out while too few tokens are read."""
    probes: tuple[str, ...]
    """Names of the probes, in the order of the columns of `scores`."""
    scores: Float[NDArray[np.float32], "tokens probes"] = field(repr=False, compare=False)
    """One logit per token and probe. Not part of `==`: compare arrays as arrays."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.scores.shape[1] != len(self.probes):
            raise ValueError(
                f"expected scores of shape [tokens, {len(self.probes)}], "
                f"found {list(self.scores.shape)}"
            )
        if not self.peaks.keys() <= set(self.probes):
            raise ValueError(f"peaks of {sorted(self.peaks)}, but the probes are {self.probes}")
        if (self.outcome == "scored") != (self.reason is None):
            raise ValueError("a scored request has no reason, and an unscored one has exactly one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Which probe version stands in a role, since when and by whose hand."""

    role: Role
    """What it is there for."""
    ref: str
    """Name and version in the probe store, such as "petty@3"."""
    since: datetime
    """When it was promoted."""
    by: str
    """Who promoted it."""
    reason: str
    """Why, in the words of that person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the record of who changed what. Lines are only ever added."""

    id: int
    """Counts up from 1; a number that is missing is evidence."""
    at: datetime
    """When it happened."""
    actor: str
    """Who did it."""
    action: str
    """What was done, such as "deployment.promote" or "key.revoke"."""
    subject: str
    """What it was done to: a role, or a key's name."""
    before: str | None
    """What stood there before."""
    after: str | None
    """What stands there now."""
    reason: str
    """Why, in the words of the actor."""
    hash: str
    """Its link in the chain: SHA-256 over this line and the link before, 64 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of an API key; the key itself is known only to whom it was given."""

    name: str
    """Who or what uses it."""
    scope: KeyScope
    """What it opens."""
    created_at: datetime
    """When it was made."""
    revoked_at: datetime | None
    """When it stopped being valid; None while it is."""
