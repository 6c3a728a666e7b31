"""A claim as the database sees it: whether it still holds, how it ends, who has it instead."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    case,
    or_,
    select,
    type_coerce,
    update,
)

from service.domain import CaseState
from service.review_errors import ClaimLost, UnknownCase
from service.reviewing import Claim
from service.store.audit import add_entry
from service.store.tables import cases

GO_ON = "go on to the next one"
"""What to do where a case is somebody else's."""

_NUMBER_MAX = 2**63 - 1


def as_stored(number: int) -> int:
    """A number from outside as one that the databases can compare; nothing has 0."""
    return max(0, min(number, _NUMBER_MAX))


def is_ours(claim: Claim, moment: datetime) -> ColumnElement[bool]:
    """Whether a claim holds: the newest of its case, not given back, and not expired."""
    return and_(
        cases.c.id == as_stored(claim.case),
        cases.c.fence == as_stored(claim.fence),
        cases.c.holder == claim.holder,
        cases.c.lease_until > moment,
    )


def state_shown(moment: datetime) -> ColumnElement[str]:
    """A case's state in its own word; in review while somebody holds it who would be first.

    What is stored is what the verdicts make of it. Whether it is held depends on the time,
    so that is never stored.
    """
    held = and_(cases.c.state == CaseState.OPEN.value, cases.c.lease_until > moment)
    stored = type_coerce(cases.c.state, Text)
    return case((held, CaseState.IN_REVIEW.value), else_=stored)


def is_shown_as(state: CaseState, moment: datetime) -> ColumnElement[bool]:
    """Whether `state_shown` is this state, in terms that an index on states serves."""
    c = cases.c
    if state is CaseState.IN_REVIEW:
        return and_(c.state == CaseState.OPEN.value, c.lease_until > moment)
    if state is CaseState.OPEN:
        not_held = or_(c.lease_until.is_(None), c.lease_until <= moment)
        return and_(c.state == CaseState.OPEN.value, not_held)
    return c.state == state.value


def end_claim(
    connection: Connection, claim: Claim, moment: datetime, *, keep_assignment: bool = False
) -> Row[Any]:
    """Give a case back if the claim still holds; returns its state, queue and request.

    The case's row stays locked until the caller's transaction ends, so what the caller then
    reads of the case's verdicts is still so when it writes.

    Raises:
        ClaimLost: the claim does not hold; nothing was changed.
        UnknownCase: there is no such case.
    """
    ended = update(cases).where(is_ours(claim, moment)).values(holder=None, lease_until=None)
    if not keep_assignment:
        ended = ended.values(assigned_to=None)
    found = ended.returning(cases.c.state, cases.c.queue, cases.c.request_id)
    row = connection.execute(found).first()
    if row is None:
        raise claim_lost(connection, claim, moment)
    return row


def locked_case(connection: Connection, number: int) -> Row[Any]:
    """A case's row, which nobody else changes until the caller's transaction ends.

    Raises:
        UnknownCase: there is no such case.
    """
    this_case = select(cases).where(cases.c.id == as_stored(number)).with_for_update()
    row = connection.execute(this_case).first()
    if row is None:
        raise UnknownCase(number)
    return row


def claim_lost(connection: Connection, claim: Claim, moment: datetime) -> ClaimLost:
    """Why a claim does not hold: who has the case now, and what to do.

    Raises:
        UnknownCase: there is no such case.
    """
    row = connection.execute(select(cases).where(cases.c.id == as_stored(claim.case))).first()
    if row is None:
        raise UnknownCase(claim.case)
    held = row.holder is not None and row.lease_until > moment
    found, next_step = _lost_to(row, claim, held)
    return ClaimLost(
        claim.case,
        holder=row.holder if held else None,
        until=row.lease_until if held else None,
        found=found,
        next_step=next_step,
    )


def _lost_to(row: Row[Any], claim: Claim, held: bool) -> tuple[str, str]:
    if row.state == CaseState.CLOSED:
        return "the case is closed", GO_ON
    if held and row.holder == claim.holder:
        return "you hold the case under a newer claim", "go on in the window that has it"
    if held:
        return f"{row.holder!r} holds it until {in_words(row.lease_until)}", GO_ON
    if row.assigned_to not in (None, claim.holder):
        return f"it is assigned to {row.assigned_to!r}, and nobody holds it", GO_ON
    ended = "it ended" if row.lease_until is None else f"it ended at {in_words(row.lease_until)}"
    return f"{ended}, and nobody holds the case now", "claim it again"


def in_words(moment: datetime) -> str:
    """A moment, in UTC as the store gives them back, for a sentence."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def record(
    connection: Connection,
    actor: str,
    what: str,
    number: int,
    *,
    before: str | None = None,
    after: str | None = None,
    reason: str = "",
) -> None:
    """Put on record what was done to a case; never what a verdict said.

    A second reviewer may see the record, and must not learn from it what the first one said.
    """
    add_entry(
        connection,
        actor=actor,
        action=what,
        subject=f"case {number}",
        before=before,
        after=after,
        reason=reason,
    )
