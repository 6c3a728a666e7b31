"""Who may do what: one table, and whatever is not in it is refused.

A role is what somebody is in the house, an act is what a page or a command does. A page
that needs an act asks `may`; it never compares roles, so that a change of the table is a
change everywhere.

Architecture invariant: no SQL and no HTTP in this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class PersonRole(StrEnum):
    """What somebody is here for."""

    OPERATOR = "operator"
    """Runs the service: which probe decides, and the emergency switch. Reads no conversation."""
    AUDITOR = "auditor"
    """Reads what was flagged, and rules on it."""
    LEAD = "lead"
    """Audits, settles disagreements, and sets how the queues are worked."""
    ADMIN = "admin"
    """Everything, people included."""
    READ_ONLY = "read-only"
    """Sees how the queue and the figures stand; no conversation."""


class Act(StrEnum):
    """What can be done, as far as somebody has to be allowed to."""

    READ_QUEUE = "read_queue"
    """See which cases there are and where they stand; no conversation."""
    READ_TEXT = "read_text"
    """Read the conversation of a case."""
    CLAIM = "claim"
    """Take a case to work on."""
    RULE = "rule"
    """Give a verdict."""
    ADJUDICATE = "adjudicate"
    """Settle a case on which reviewers disagree."""
    ASSIGN = "assign"
    """Give a case to somebody."""
    PROMOTE = "promote"
    """Change which probe version decides, or its threshold."""
    APPROVE = "approve"
    """Be the second person where two are needed."""
    MANAGE_PEOPLE = "manage_people"
    """Invite, disable, change roles."""
    MANAGE_QUEUES = "manage_queues"
    """Set rubrics and how queues are reviewed."""
    READ_AUDIT = "read_audit"
    """Read the record of who changed what."""
    READ_REPORTS = "read_reports"
    """Read figures about probes and review."""
    EXPORT = "export"
    """Take cases and verdicts out of the house."""
    BYPASS = "bypass"
    """Let answers out unwatched for a time, on record."""


_EVERYBODY = frozenset(PersonRole)
_REVIEWERS = frozenset({PersonRole.AUDITOR, PersonRole.LEAD, PersonRole.ADMIN})
_LEADS = frozenset({PersonRole.LEAD, PersonRole.ADMIN})
_OPERATORS = frozenset({PersonRole.OPERATOR, PersonRole.ADMIN})

MAY: Mapping[str, frozenset[PersonRole]] = MappingProxyType(
    {
        Act.READ_QUEUE: _EVERYBODY,
        Act.READ_TEXT: _REVIEWERS,
        Act.CLAIM: _REVIEWERS,
        Act.RULE: _REVIEWERS,
        Act.ADJUDICATE: _LEADS,
        Act.ASSIGN: _LEADS,
        Act.PROMOTE: _OPERATORS,
        Act.APPROVE: _LEADS,
        Act.MANAGE_PEOPLE: frozenset({PersonRole.ADMIN}),
        Act.MANAGE_QUEUES: _LEADS,
        Act.READ_AUDIT: _LEADS,
        Act.READ_REPORTS: _EVERYBODY,
        Act.EXPORT: _LEADS,
        Act.BYPASS: _OPERATORS,
    }
)
"""Which roles may do an act."""


def may(role: str, act: str) -> bool:
    """Whether somebody in that role may do that; no for a role or an act that is not known."""
    return role in MAY.get(act, frozenset())
