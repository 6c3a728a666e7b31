"""Claims: the right of one person to rule on one case for a while.

A case is given out by one conditional statement, so that it cannot be given to two
people: what it looks for is what it still requires when it writes. Reading first and
writing then gave away 148 of 120 cases twice when it was tried. A lease that has ended
needs nobody to clean up after it, because every statement looks at the time; and each
claim counts the case's fence up, so that whoever comes late with an old claim is told.

Which clock decides is said in `turns`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, bindparam, insert, select, update
from sqlalchemy import case as either

from service.domain import CaseState
from service.review_errors import UnknownCase, UnknownQueue
from service.reviewing import CaseStanding, Claim
from service.store.candidates import (
    BY_NUMBER,
    BY_PRIORITY,
    CLAIMED,
    asked,
    why_never,
    why_not_free,
)
from service.store.database import Database
from service.store.leases import (
    as_stored,
    claim_lost,
    end_claim,
    in_words,
    is_ours,
    locked_case,
    record,
)
from service.store.tables import cases, queues, skips
from service.store.turns import Now, moment_of, take_turn

_LEASE = select(queues.c.lease_seconds).where(queues.c.name == bindparam("in_queue"))


class Claims:
    """Who works on what."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        self._database, self._now = database, now

    def next(self, queue: str, reviewer: str, *, adjudicator: bool = False) -> Claim | None:
        """Claim the most urgent case that is free for this reviewer; None when there is none.

        Highest band first, then oldest. Never a case that they have ruled on or skipped, nor
        one that is assigned to somebody else.

        Args:
            queue: name of the queue.
            reviewer: who claims.
            adjudicator: whether they may also have cases on which reviewers disagree.

        Raises:
            UnknownQueue: there is no such queue.
            StoreUnavailable: the database failed.
        """
        with self._database.writing() as connection:
            moment = take_turn(connection, reviewer, self._now)
            seconds = connection.scalar(_LEASE, {"in_queue": queue})
            if seconds is None:
                raise UnknownQueue(queue)
            wanted = {"in_queue": queue, **asked(reviewer, moment, seconds, adjudicator)}
            row = connection.execute(BY_PRIORITY, wanted).mappings().first()
            return None if row is None else _given_out(connection, row)

    def take(self, case: int, reviewer: str, *, adjudicator: bool = False) -> Claim:
        """Claim one case.

        Raises:
            UnknownCase: there is no such case.
            CaseNotFree: it is not free for them; says why.
            StoreUnavailable: the database failed.
        """
        with self._database.writing() as connection:
            moment = take_turn(connection, reviewer, self._now)
            seconds = _lease_seconds(connection, case)
            wanted = {"number": case, **asked(reviewer, moment, seconds, adjudicator)}
            row = connection.execute(BY_NUMBER, wanted).mappings().first()
            if row is None:
                raise why_not_free(connection, case, reviewer, moment, adjudicator)
            return _given_out(connection, row)

    def beat(self, claim: Claim) -> Claim:
        """Say that the claim's holder is still at work: its lease starts anew.

        Raises:
            ClaimLost: it has expired or is no longer theirs.
            UnknownCase: there is no such case.
            StoreUnavailable: the database failed.
        """
        with self._database.writing() as connection:
            moment = moment_of(connection, self._now)
            until = moment + timedelta(seconds=_lease_seconds(connection, claim.case))
            longer = update(cases).where(is_ours(claim, moment)).values(lease_until=until)
            row = connection.execute(longer.returning(*CLAIMED)).mappings().first()
            if row is None:
                raise claim_lost(connection, claim, moment)
            return _claim_of_row(row)

    def release(self, claim: Claim) -> None:
        """Give a case back to everybody, oneself included.

        Raises:
            ClaimLost: it is no longer theirs to give back.
            UnknownCase: there is no such case.
            StoreUnavailable: the database failed.
        """
        with self._database.writing() as connection:
            end_claim(connection, claim, moment_of(connection, self._now), keep_assignment=True)
            record(connection, claim.holder, "case.release", claim.case, before=_told(claim))

    def skip(self, claim: Claim, reason: str) -> None:
        """Give a case back to everybody else, for good.

        Raises:
            ClaimLost: it is no longer theirs to skip.
            UnknownCase: there is no such case.
            StoreUnavailable: the database failed.
        """
        with self._database.writing() as connection:
            moment = take_turn(connection, claim.holder, self._now)
            end_claim(connection, claim, moment)
            connection.execute(
                insert(skips).values(
                    case_id=claim.case,
                    reviewer=claim.holder,
                    at=moment,
                    fence=claim.fence,
                    reason=reason,
                )
            )
            record(
                connection,
                claim.holder,
                "case.skip",
                claim.case,
                before=_told(claim),
                reason=reason,
            )

    def assign(self, case: int, reviewer: str | None, *, by: str, reason: str = "") -> None:
        """Let only this reviewer claim a case next; None lets everybody.

        Whoever else holds it loses it. The assignment ends when they rule on the case or
        skip it.

        Raises:
            UnknownCase: there is no such case.
            CaseNotFree: it is closed, or they have ruled on it or skipped it.
            StoreUnavailable: the database failed.
        """
        theirs = cases.c.holder == reviewer
        with self._database.writing() as connection:
            before = locked_case(connection, case)
            refusal = why_never(connection, case, reviewer)
            if refusal is not None:
                raise refusal
            change = update(cases).where(cases.c.id == case).values(assigned_to=reviewer)
            if reviewer is not None:
                change = change.values(
                    holder=either((theirs, cases.c.holder)),
                    lease_until=either((theirs, cases.c.lease_until)),
                )
            connection.execute(change)
            record(
                connection,
                by,
                "case.assign",
                case,
                before=before.assigned_to,
                after=reviewer,
                reason=reason,
            )

    def held_by(self, reviewer: str) -> tuple[Claim, ...]:
        """The claims that a reviewer holds now, by case: a page that was reloaded goes on.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            moment = moment_of(connection, self._now)
            held = select(*CLAIMED).where(cases.c.holder == reviewer, cases.c.lease_until > moment)
            rows = connection.execute(held.order_by(cases.c.id)).mappings()
            return tuple(_claim_of_row(row) for row in rows)

    def standing(self, case: int) -> CaseStanding | None:
        """Where a case stands now; None when there is none of that number.

        Raises:
            StoreUnavailable: the database failed.
        """
        asked = select(cases).where(cases.c.id == as_stored(case))
        with self._database.reading() as connection:
            moment = moment_of(connection, self._now)
            row = connection.execute(asked).first()
        return None if row is None else _standing_of_row(row, moment)


def _lease_seconds(connection: Connection, case: int) -> int:
    its_queue = select(queues.c.lease_seconds).join(cases, cases.c.queue == queues.c.name)
    seconds: int | None = connection.scalar(its_queue.where(cases.c.id == as_stored(case)))
    if seconds is None:
        raise UnknownCase(case)
    return seconds


def _given_out(connection: Connection, row: RowMapping) -> Claim:
    claim = _claim_of_row(row)
    record(connection, claim.holder, "case.claim", claim.case, after=_told(claim))
    return claim


def _told(claim: Claim) -> str:
    return f"claim {claim.fence} until {in_words(claim.lease_until)}"


def _claim_of_row(row: RowMapping) -> Claim:
    return Claim(
        case=row["id"],
        queue=row["queue"],
        holder=row["holder"],
        fence=row["fence"],
        lease_until=row["lease_until"],
    )


def _standing_of_row(row: Row[Any], moment: datetime) -> CaseStanding:
    held = row.holder is not None and row.lease_until > moment
    state = CaseState(row.state)
    return CaseStanding(
        case=row.id,
        queue=row.queue,
        state=CaseState.IN_REVIEW if held and state is CaseState.OPEN else state,
        band=row.band,
        reviewers=row.reviewers,
        assigned_to=row.assigned_to,
        holder=row.holder if held else None,
        lease_until=row.lease_until if held else None,
        created_at=row.created_at,
    )
