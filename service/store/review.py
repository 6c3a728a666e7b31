"""The review queue and what it is fed from: flags, cases and finished requests.

A flag is durable when `commit_flag` returns; whatever depends on it is released
only after that. All methods block, are safe to call from several threads, and
raise `StoreUnavailable` rather than wait without an end, so an async caller runs
them in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from sqlalchemy import Connection, Select, func, insert, select, update

from service.domain import Case, CasePage, CaseState, Flag, RequestRecord, TokenScore, utc_now
from service.reviewing import DEFAULT_QUEUE, band_of
from service.store.audit import Audit
from service.store.claims import Claims
from service.store.database import Database
from service.store.deployments import Deployments
from service.store.errors import UnknownFlag
from service.store.faults import unavailable
from service.store.invitations import Invitations
from service.store.keys import Keys
from service.store.leases import is_shown_as, state_shown
from service.store.listing import summaries, summary_of_row
from service.store.logins import Logins
from service.store.packing import pack_tokens, unpack_texts
from service.store.people import People
from service.store.queues import Queues
from service.store.rows import case_of_row, request_of_row, row_of_flag, row_of_request
from service.store.sessions import Sessions
from service.store.tables import cases, flags, pulse, queues, requests
from service.store.turns import Now, moment_of
from service.store.verdicts import Verdicts

CASES_PER_PAGE_MAX = 200
_ROW_NUMBER_MAX = 2**63 - 1


class ReviewStore:
    """Flags, cases and requests; what is done with them and around them stands beside."""

    keys: Keys
    """API keys."""
    deployments: Deployments
    """Which probe version stands in which role."""
    audit: Audit
    """Who changed what."""
    queues: Queues
    """How the cases of each queue are reviewed."""
    claims: Claims
    """Who works on which case."""
    verdicts: Verdicts
    """What people said of cases."""
    people: People
    """Who can log in."""
    invitations: Invitations
    """One-time links with which people set their passwords."""
    sessions: Sessions
    """Who is logged in."""
    logins: Logins
    """How often logging in failed."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        """Stand on an open database, whose clock decides unless `now` is given."""
        self._database, self._now = database, now
        self.keys = Keys(database)
        self.deployments = Deployments(database)
        self.audit = Audit(database)
        self.queues = Queues(database)
        self.claims = Claims(database, now)
        self.verdicts = Verdicts(database, now)
        self.people = People(database, now)
        self.invitations = Invitations(database, now)
        self.sessions = Sessions(database, now)
        self.logins = Logins(database, now)

    def commit_flag(self, flag: Flag) -> Case:
        """Queue a flagged request for review; durable when this returns.

        A request has one case: a second flag for it changes nothing and returns the
        case that the first one made, so a caller that is unsure may try again.

        Raises:
            StoreUnavailable: nothing that depends on this flag may be released.
            ValueError: a token has not one score and one statistic per probe, the
                threshold or statistic is NaN, or the moment has no time zone.
        """
        add = self._database.insert_once(flags, key="request_id").values(row_of_flag(flag))
        with self._database.writing() as connection:
            if connection.execute(add.returning(flags.c.request_id)).first() is not None:
                return _open_case(connection, flag)
            return _standing_case(connection, flag.request_id, moment_of(connection, self._now))

    def extend_flag(self, request_id: str, answer: str, tokens: Sequence[TokenScore]) -> None:
        """Store the whole of a flagged answer that went on: all its text, all its tokens.

        An answer with fewer tokens than are stored changes nothing.

        Raises:
            UnknownFlag: the request has no flag.
            StoreUnavailable: the database failed; the flag is as it was.
            ValueError: a token has not one score and one statistic per probe.
        """
        this_flag = flags.c.request_id == request_id
        with self._database.writing() as connection:
            probes = connection.scalar(select(flags.c.probes).where(this_flag))
            if probes is None:
                raise UnknownFlag(request_id)
            packed = pack_tokens(tokens, len(unpack_texts(probes)))
            connection.execute(
                update(flags)
                .where(this_flag, flags.c.tokens <= len(tokens))
                .values(answer=answer, tokens=len(tokens), **packed)
            )

    def record_request(self, record: RequestRecord) -> None:
        """Keep how a request ended. A second record of the same request changes nothing.

        Raises:
            StoreUnavailable: the database failed.
        """
        add = self._database.insert_once(requests, key="id").values(row_of_request(record))
        with self._database.writing() as connection:
            connection.execute(add)

    def request(self, request_id: str) -> RequestRecord | None:
        """How a request ended; None when it has not, or never was.

        Raises:
            StoreUnavailable: the database failed.
        """
        asked = select(requests).where(requests.c.id == request_id)
        with self._database.reading() as connection:
            row = connection.execute(asked).mappings().first()
        return None if row is None else request_of_row(row)

    def cases(
        self, *, state: CaseState | None = None, limit: int = 50, before: int | None = None
    ) -> CasePage:
        """A stretch of the queue, newest first, without a word of any conversation.

        Args:
            state: only cases in this state; None for all.
            limit: cases at most, 1 to 200.
            before: the `next_cursor` of the page before this one; None for the newest.

        Raises:
            StoreUnavailable: the database failed.
        """
        limit = max(1, min(limit, CASES_PER_PAGE_MAX))
        with self._database.reading() as connection:
            moment = moment_of(connection, self._now)
            page = summaries(moment).order_by(cases.c.id.desc()).limit(limit + 1)
            if state is not None:
                page = page.where(is_shown_as(state, moment))
            if before is not None:
                page = page.where(cases.c.id < max(0, min(before, _ROW_NUMBER_MAX)))
            found = [summary_of_row(row) for row in connection.execute(page).mappings()]
        shown = tuple(found[:limit])
        return CasePage(cases=shown, next_cursor=shown[-1].id if len(found) > limit else None)

    def case(self, case_id: int) -> Case | None:
        """One case with its flag; None when there is none of that number.

        Raises:
            StoreUnavailable: the database failed.
            DamagedRow: what is stored of it cannot be read back.
        """
        if not 0 < case_id <= _ROW_NUMBER_MAX:
            return None
        with self._database.reading() as connection:
            asked = _cases_with_flags(moment_of(connection, self._now))
            row = connection.execute(asked.where(cases.c.id == case_id)).mappings().first()
        return None if row is None else case_of_row(row)

    def counts(self) -> dict[CaseState, int]:
        """How many cases stand in each state; every state is there, at 0 when empty.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            held = is_shown_as(CaseState.IN_REVIEW, moment_of(connection, self._now))
            in_review = select(func.count()).select_from(cases).where(held).scalar_subquery()
            stored = select(cases.c.state, func.count(), in_review).group_by(cases.c.state)
            rows = connection.execute(stored).all()
        found = {state: number for state, number, _ in rows}
        shown = {state: int(found.get(state.value, 0)) for state in CaseState}
        if rows:
            shown[CaseState.IN_REVIEW] = int(rows[0][2])
            shown[CaseState.OPEN] -= shown[CaseState.IN_REVIEW]
        return shown

    def check(self) -> None:
        """Write and commit one row, as a flag would: a full or locked database still reads.

        Raises:
            StoreUnavailable: a flag could not be committed now.
        """
        with self._database.writing() as connection:
            beat = update(pulse).where(pulse.c.id == 1).values(at=utc_now())
            if connection.execute(beat).rowcount != 1:
                raise unavailable(self._database.address, "schema")

    def close(self) -> None:
        """End all connections; every later call raises `StoreUnavailable`."""
        self._database.close()

    def __enter__(self) -> ReviewStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _cases_with_flags(moment: datetime) -> Select[tuple[object, ...]]:
    return select(
        cases.c.id.label("case_id"),
        state_shown(moment).label("state"),
        cases.c.created_at.label("case_created_at"),
        flags,
    ).join(flags, flags.c.request_id == cases.c.request_id)


def _open_case(connection: Connection, flag: Flag) -> Case:
    wanted = select(queues.c.reviewers).where(queues.c.name == DEFAULT_QUEUE).scalar_subquery()
    add = insert(cases).values(
        request_id=flag.request_id,
        state=CaseState.OPEN.value,
        created_at=flag.created_at,
        queue=DEFAULT_QUEUE,
        band=band_of(flag.statistic, flag.threshold),
        reviewers=func.coalesce(wanted, 1),
    )
    number = connection.execute(add.returning(cases.c.id)).scalar_one()
    return Case(id=number, state=CaseState.OPEN, created_at=flag.created_at, flag=flag)


def _standing_case(connection: Connection, request_id: str, moment: datetime) -> Case:
    asked = _cases_with_flags(moment).where(cases.c.request_id == request_id)
    return case_of_row(connection.execute(asked).mappings().one())
