"""Whatever people do in whatever order, review keeps its promises, on both databases.

Hypothesis lets four people flag, claim, rule, skip, wait and take back at random. A model
of thirty lines says what must come of each act; after each, every row is compared with it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from service.domain import CaseState
from service.review_errors import CaseNotFree, ClaimLost, UndoRefused
from service.reviewing import Claim, Draft, Verdict, VerdictKind, band_of, state_of
from service.store.review import ReviewStore
from service.store.tables import audit, cases, verdicts
from tests.service.store.desk import LEASE_SECONDS, Clock, queue
from tests.service.store.examples import flag

PEOPLE = ("ada", "bob", "eve", "kim")
EXAMPLES = {"sqlite": 100, "postgresql": 60}
STEPS = 40
_numbers = itertools.count(1)

people = st.sampled_from(PEOPLE)
choices = st.integers(0, 1000)


@dataclass
class Modelled:
    """A case as it must be."""

    id: int
    urgency: tuple[float, datetime, int]
    reviewers: int
    holder: str | None = None
    lease_until: datetime | None = None
    fence: int = 0
    assigned_to: str | None = None
    skipped: set[str] = field(default_factory=set)
    said: list[Verdict] = field(default_factory=list)

    @property
    def standing(self) -> list[Verdict]:
        undone = {entry.undoes for entry in self.said}
        kept = [entry for entry in self.said if entry.id not in undone]
        return [entry for entry in kept if entry.kind is not VerdictKind.UNDO]

    @property
    def state(self) -> str:
        kinds = [entry.kind for entry in self.standing]
        labels = [entry.label for entry in self.standing]
        if "adjudication" in kinds:
            return "closed"
        if len(labels) < self.reviewers:
            return "needs_second" if labels else "open"
        return "closed" if len(set(labels)) == 1 else "adjudicate"

    def may_rule(self, person: str, adjudicator: bool) -> bool:
        settling = self.state == "adjudicate"
        heard = self.said if settling else self.standing
        ruled = {entry.author for entry in heard if entry.kind == "review"}
        return (
            self.state != "closed"
            and (adjudicator or not settling)
            and self.assigned_to in (None, person)
            and person not in ruled | self.skipped
        )

    def free(self) -> None:
        self.holder = self.lease_until = None


class Review(RuleBasedStateMachine):
    """Four people at their desks."""

    def __init__(self, desk: ReviewStore, clock: Clock) -> None:
        super().__init__()
        self.desk, self.clock = desk, clock
        self.queue = f"queue {next(_numbers)}"
        desk.queues.create(queue(self.queue), by="op", reason="")
        self.cases: dict[int, Modelled] = {}
        self.claims: list[Claim] = []
        self.said: list[Any] = []
        self.lines = self.lines_on_record()

    def lines_on_record(self) -> int:
        with self.desk._database.reading() as connection:
            return int(connection.scalar(select(func.max(audit.c.id))) or 0)

    def holds(self, case: Modelled) -> bool:
        return case.lease_until is not None and case.lease_until > self.clock()

    def is_good(self, claim: Claim) -> bool:
        case = self.cases[claim.case]
        return (case.holder, case.fence) == (claim.holder, claim.fence) and self.holds(case)

    def claimed(self, case: Modelled, person: str, claim: Claim) -> None:
        case.holder, case.fence = person, case.fence + 1
        case.lease_until = self.clock() + timedelta(seconds=LEASE_SECONDS)
        self.lines += 1
        self.claims.append(claim)
        assert claim == Claim(
            case=case.id,
            queue=self.queue,
            holder=person,
            fence=case.fence,
            lease_until=case.lease_until,
        )

    @rule(statistic=st.sampled_from([1.3, 1.7, 9.0]), reviewers=st.integers(1, 3))
    def flag(self, statistic: float, reviewers: int) -> None:
        moment = self.clock()
        made = self.desk.commit_flag(
            flag(next(_numbers), statistic=statistic, created_at=moment)
        ).id
        with self.desk._database.writing() as connection:
            place = {"queue": self.queue, "reviewers": reviewers}
            connection.execute(update(cases).where(cases.c.id == made).values(place))
        urgency = (-band_of(statistic, 1.25), moment, made)
        self.cases[made] = Modelled(id=made, urgency=urgency, reviewers=reviewers)

    @rule(person=people, adjudicator=st.booleans())
    def claim_next(self, person: str, adjudicator: bool) -> None:
        free = [case for case in self.cases.values() if not self.holds(case)]
        theirs = [case for case in free if case.may_rule(person, adjudicator)]

        claim = self.desk.claims.next(self.queue, person, adjudicator=adjudicator)

        if theirs:
            self.claimed(min(theirs, key=lambda case: case.urgency), person, claim)
        else:
            assert claim is None

    @precondition(lambda self: self.cases)
    @rule(choice=choices, person=people, adjudicator=st.booleans())
    def claim_one(self, choice: int, person: str, adjudicator: bool) -> None:
        case = list(self.cases.values())[choice % len(self.cases)]
        if case.may_rule(person, adjudicator) and not self.holds(case):
            claim = self.desk.claims.take(case.id, person, adjudicator=adjudicator)
            self.claimed(case, person, claim)
        else:
            with pytest.raises(CaseNotFree):
                self.desk.claims.take(case.id, person, adjudicator=adjudicator)

    @rule(seconds=st.sampled_from([1, LEASE_SECONDS // 2, LEASE_SECONDS - 1, LEASE_SECONDS]))
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)

    @precondition(lambda self: self.claims)
    @rule(
        choice=choices,
        act=st.sampled_from(["beat", "release", "skip", "give", "give", "give"]),
        label=st.sampled_from(["harmless", "misbehaviour"]),
    )
    def use_a_claim(self, choice: int, act: str, label: str) -> None:
        newest_first = self.claims[::-1]
        claim = newest_first[choice % len(newest_first)]
        case = self.cases[claim.case]
        do = {
            "beat": lambda: self.desk.claims.beat(claim),
            "release": lambda: self.desk.claims.release(claim),
            "skip": lambda: self.desk.claims.skip(claim, ""),
            "give": lambda: self.desk.verdicts.give(claim, Draft(label=label, confidence=3)),
        }[act]
        if not self.is_good(claim):
            with pytest.raises(ClaimLost) as caught:
                do()
            assert caught.value.holder == (case.holder if self.holds(case) else None)
            return
        settling = case.state == "adjudicate"
        done = do()
        if act == "beat":
            case.lease_until = self.clock() + timedelta(seconds=LEASE_SECONDS)
            return
        self.lines += 1
        case.free()
        if act == "skip":
            case.skipped.add(claim.holder)
        if act == "give":
            assert isinstance(done, Verdict)
            assert done.kind == ("adjudication" if settling else "review")
            case.said.append(done)
        if act != "release":
            case.assigned_to = None

    @precondition(lambda self: any(case.said for case in self.cases.values()))
    @rule(choice=choices, person=people, lead=st.booleans())
    def undo(self, choice: int, person: str, lead: bool) -> None:
        said = [(case, entry) for case in self.cases.values() for entry in case.said]
        case, entry = said[choice % len(said)]
        settled = any(other.kind == "adjudication" for other in case.standing)
        allowed = (
            entry in case.standing
            and (lead or entry.author == person)
            and not (settled and entry.kind == "review")
        )
        if not allowed:
            with pytest.raises(UndoRefused):
                self.desk.verdicts.undo(entry.id, by=person, lead=lead)
            return
        if case.state == "adjudicate":
            case.free()
        case.said.append(self.desk.verdicts.undo(entry.id, by=person, lead=lead))
        self.lines += 1

    @precondition(lambda self: self.cases)
    @rule(choice=choices, person=st.none() | people)
    def assign(self, choice: int, person: str | None) -> None:
        case = list(self.cases.values())[choice % len(self.cases)]
        asked = replace(case, assigned_to=None)
        if not asked.may_rule(person or "nobody", adjudicator=True):
            with pytest.raises(CaseNotFree):
                self.desk.claims.assign(case.id, person, by="op")
            return
        self.desk.claims.assign(case.id, person, by="op")
        case.assigned_to = person
        if person not in (None, case.holder):
            case.free()
        self.lines += 1

    @invariant()
    def every_row_is_as_modelled(self) -> None:
        here = select(cases).where(cases.c.queue == self.queue)
        with self.desk._database.reading() as connection:
            rows = connection.execute(here).all()
            given = select(verdicts).where(verdicts.c.case_id.in_(list(self.cases)))
            self.said = list(connection.execute(given.order_by(verdicts.c.id)).mappings())
        compared = ("id", "reviewers", "holder", "lease_until", "fence", "assigned_to", "state")
        found = {row.id: [getattr(row, name) for name in compared] for row in rows}
        expected = self.cases.values()
        assert found == {case.id: [getattr(case, name) for name in compared] for case in expected}
        assert [entry["id"] for entry in self.said] == sorted(
            entry.id for case in expected for entry in case.said
        )

    @invariant()
    def nobody_holds_what_another_holds(self) -> None:
        held = [claim.case for person in PEOPLE for claim in self.desk.claims.held_by(person)]
        good = [claim.case for claim in self.claims if self.is_good(claim)]

        assert len(set(held)) == len(held)
        assert sorted(set(good)) == sorted(set(held) & set(self.cases))

    @invariant()
    def verdicts_are_few_and_by_different_people_and_make_the_state(self) -> None:
        undone = {entry["undoes"] for entry in self.said}
        for case in self.cases.values():
            stand = [e for e in self.said if e["case_id"] == case.id and e["id"] not in undone]
            reviews = [entry for entry in stand if entry["kind"] == "review"]
            settled = [entry for entry in stand if entry["kind"] == "adjudication"]
            authors = [entry["author"] for entry in reviews + settled]
            labels = [entry["label"] for entry in reviews]

            assert len(reviews) <= case.reviewers
            assert len(set(authors)) == len(authors)
            state = state_of(case.reviewers, labels, adjudicated=bool(settled))
            assert state is CaseState(case.state)

    @invariant()
    def no_verdict_is_without_its_fence(self) -> None:
        issued = {(claim.case, claim.fence, claim.holder) for claim in self.claims}
        given = [entry for entry in self.said if entry["kind"] != "undo"]
        fences: list[Any] = [(e["case_id"], e["fence"], e["author"]) for e in given]

        assert set(fences) <= issued
        assert len(set(fences)) == len(fences)

    @invariant()
    def every_act_is_one_line_on_record(self) -> None:
        assert self.lines_on_record() == self.lines


def test_review_keeps_its_promises_in_every_order(
    desk: ReviewStore, clock: Clock, database_url: str
) -> None:
    examples = EXAMPLES[database_url.split(":")[0]]
    run_state_machine_as_test(
        lambda: Review(desk, clock),
        settings=settings(max_examples=examples, stateful_step_count=STEPS, deadline=None),
    )
