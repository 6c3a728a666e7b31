"""Verdicts: what people say of cases, only ever added to.

A verdict is given under a claim and stands or falls with it: one transaction ends the
claim if it still holds, and only then writes. Whoever comes late changes nothing. A verdict
is taken back by a further entry that points at it, and the case's state is reckoned anew
from the entries that stand.

Which clock decides is said in `turns`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    exists,
    insert,
    not_,
    or_,
    select,
    update,
)

from service.domain import CaseState
from service.review_errors import UndoRefused, UnknownVerdict
from service.reviewing import Claim, Draft, Verdict, VerdictKind, state_of
from service.store.database import Database
from service.store.leases import as_stored, end_claim, locked_case, record
from service.store.queues import queue_named
from service.store.tables import cases, flags, verdicts
from service.store.turns import Now, moment_of, take_turn


class Verdicts:
    """What was said of cases, by whom, and when."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        self._database, self._now = database, now

    def give(self, claim: Claim, draft: Draft) -> Verdict:
        """Rule on a claimed case; the claim ends with it.

        On a case whose reviewers disagree it is an adjudication, and closes it.

        Raises:
            ClaimLost: the claim has expired or is no longer theirs; nothing was changed.
            DraftRefused: the verdict does not keep to the queue's rubric; the claim stands.
            UnknownCase: there is no such case.
            StoreUnavailable: the database failed; nothing was changed.
        """
        with self._database.writing() as connection:
            moment = take_turn(connection, claim.holder, self._now)
            held = end_claim(connection, claim, moment)
            queue = queue_named(connection, held.queue)
            flag = _flag_of(connection, held.request_id)
            draft.require(queue, flag["tokens"])
            adjudicates = held.state == CaseState.ADJUDICATE
            kind = VerdictKind.ADJUDICATION if adjudicates else VerdictKind.REVIEW
            given = {
                "case_id": claim.case,
                "kind": kind.value,
                "author": claim.holder,
                "at": moment,
                "probe": flag["probe"],
                "probe_version": flag["probe_version"],
                "blinded": queue.blinded,
                "fence": claim.fence,
            }
            return _added(connection, given | _values_of_draft(draft), before=held.state)

    def undo(self, verdict: int, *, by: str, lead: bool = False, reason: str = "") -> Verdict:
        """Take a verdict back; its case is open again for as many as are now missing.

        The entry stays, and a further one says that it no longer counts. Its author may be
        given the case once more.

        Args:
            verdict: its number.
            by: who takes it back.
            lead: whether they may take back what others said.
            reason: why.

        Raises:
            UnknownVerdict: there is no such verdict.
            UndoRefused: it is somebody else's, was taken back before, is itself an undo, or
                an adjudication rests on it.
            StoreUnavailable: the database failed; nothing was changed.
        """
        asked = select(verdicts).where(verdicts.c.id == as_stored(verdict))
        with self._database.writing() as connection:
            undone = connection.execute(asked).mappings().first()
            if undone is None:
                raise UnknownVerdict(verdict)
            case = locked_case(connection, undone["case_id"])
            _require_undoable(connection, undone, by, lead)
            if case.state == CaseState.ADJUDICATE:
                _end_any_claim(connection, case.id)
            undo = {
                "case_id": case.id,
                "kind": VerdictKind.UNDO.value,
                "author": by,
                "at": moment_of(connection, self._now),
                "probe": undone["probe"],
                "probe_version": undone["probe_version"],
                "blinded": undone["blinded"],
                "fence": case.fence,
                "reason": reason,
                "comment": "",
                "undoes": verdict,
            }
            return _added(connection, undo, before=case.state)

    def of(self, case: int, reader: str) -> tuple[Verdict, ...]:
        """What this reader may see of a case's verdicts, oldest first.

        Until the case is closed, their own and what was done to those: whoever reads what
        others said before ruling would rule the same. An adjudicator who holds the case
        sees all. Who may read verdicts at all is for the caller to know.

        Raises:
            StoreUnavailable: the database failed.
        """
        theirs = verdicts.alias("theirs")
        own = exists().where(theirs.c.id == verdicts.c.undoes, theirs.c.author == reader)
        with self._database.reading() as connection:
            moment = moment_of(connection, self._now)
            visible = (
                select(verdicts)
                .join(cases, cases.c.id == verdicts.c.case_id)
                .where(
                    cases.c.id == as_stored(case),
                    or_(
                        cases.c.state == CaseState.CLOSED.value,
                        verdicts.c.author == reader,
                        own.correlate(verdicts),
                        and_(
                            cases.c.state == CaseState.ADJUDICATE.value,
                            cases.c.holder == reader,
                            cases.c.lease_until > moment,
                        ),
                    ),
                )
                .order_by(verdicts.c.id)
            )
            rows = connection.execute(visible).mappings()
            return tuple(_verdict_of_row(row) for row in rows)


def _flag_of(connection: Connection, request_id: str) -> RowMapping:
    known = select(flags.c.probe, flags.c.probe_version, flags.c.tokens)
    return connection.execute(known.where(flags.c.request_id == request_id)).mappings().one()


def _values_of_draft(draft: Draft) -> dict[str, Any]:
    start, end = draft.span or (None, None)
    return {
        "label": draft.label,
        "confidence": draft.confidence,
        "reason": draft.reason,
        "clause": draft.clause,
        "span_start": start,
        "span_end": end,
        "comment": draft.comment,
    }


def _added(connection: Connection, values: dict[str, Any], *, before: str) -> Verdict:
    """Add an entry to a locked case that was in state `before`, and put both on record."""
    add = insert(verdicts).values(values).returning(verdicts)
    verdict = _verdict_of_row(connection.execute(add).mappings().one())
    after = _settle(connection, verdict.case)
    record(
        connection,
        verdict.author,
        "verdict.undo" if verdict.kind is VerdictKind.UNDO else "verdict.give",
        verdict.case,
        before=before,
        after=f"{after.value} by verdict {verdict.id}",
    )
    return verdict


def _standing(case: int) -> Select[Any]:
    """A case's entries that were not undone, and are no undoing themselves."""
    return select(verdicts.c.kind, verdicts.c.label).where(
        verdicts.c.case_id == case,
        verdicts.c.kind != VerdictKind.UNDO.value,
        not_(_is_undone()),
    )


def _is_undone() -> ColumnElement[bool]:
    undo = verdicts.alias("undo")
    return exists().where(undo.c.undoes == verdicts.c.id).correlate(verdicts)


def _settle(connection: Connection, case: int) -> CaseState:
    """Put a locked case into the state that its standing verdicts make."""
    entries = connection.execute(_standing(case)).all()
    reviews = [entry.label for entry in entries if entry.kind == VerdictKind.REVIEW]
    this_case = cases.c.id == case
    reviewers = connection.execute(select(cases.c.reviewers).where(this_case)).scalar_one()
    state = state_of(reviewers, reviews, adjudicated=len(entries) > len(reviews))
    connection.execute(update(cases).where(this_case).values(state=state.value))
    return state


def _end_any_claim(connection: Connection, case: int) -> None:
    """An adjudicator has read what the reviewers said, so can't become one of them."""
    nobody = update(cases).where(cases.c.id == case).values(holder=None, lease_until=None)
    connection.execute(nobody)


def _require_undoable(connection: Connection, entry: RowMapping, by: str, lead: bool) -> None:
    number, kind = entry["id"], entry["kind"]
    if kind == VerdictKind.UNDO:
        raise UndoRefused(number, "it takes back another one", "rule on the case again instead")
    if by != entry["author"] and not lead:
        raise UndoRefused(number, f"it is {entry['author']!r}'s", "ask them or a lead")
    if connection.scalar(select(exists().where(verdicts.c.undoes == number))):
        raise UndoRefused(number, "it was taken back before", "open its case to see by whom")
    entries = connection.execute(_standing(entry["case_id"])).all()
    adjudicated = any(standing.kind == VerdictKind.ADJUDICATION for standing in entries)
    if kind == VerdictKind.REVIEW and adjudicated:
        raise UndoRefused(number, "an adjudication rests on it", "take that back first")


def _verdict_of_row(row: RowMapping) -> Verdict:
    start = row["span_start"]
    return Verdict(
        id=row["id"],
        case=row["case_id"],
        kind=VerdictKind(row["kind"]),
        author=row["author"],
        at=row["at"],
        label=row["label"],
        confidence=row["confidence"],
        reason=row["reason"],
        clause=row["clause"],
        span=None if start is None else (start, row["span_end"]),
        comment=row["comment"],
        probe=row["probe"],
        probe_version=row["probe_version"],
        blinded=row["blinded"],
        fence=row["fence"],
        undoes=row["undoes"],
    )
