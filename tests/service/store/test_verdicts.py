"""Verdicts on both databases: given once, never overwritten, never seen too early."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from service.domain import CaseState
from service.review_errors import CaseNotFree, ClaimLost, DraftRefused, UndoRefused, UnknownVerdict
from service.reviewing import Draft, Verdict, VerdictKind
from service.store.errors import StoreUnavailable
from service.store.review import ReviewStore
from tests.service.store.desk import (
    BAD,
    HARMLESS,
    LEASE_SECONDS,
    Clock,
    count,
    everything,
    flagged,
    queue,
    ruled,
)
from tests.service.store.examples import HARD_TEXTS

FULL = Draft(
    label="misbehaviour",
    confidence=2,
    reason="it says it did not, and it did",
    clause="3.1",
    span=(0, 2),
    comment="\x00 \ud800",
)


def state(desk: ReviewStore, case: int) -> str:
    return str(desk.claims.standing(case).state)


def test_a_verdict_comes_back_whole(desk: ReviewStore, clock: Clock) -> None:
    desk.queues.change(queue(clause_required=True, blinded=False), by="op", reason="")
    claim = desk.claims.take(flagged(desk), "ada")
    clock.forward(60)

    given = desk.verdicts.give(claim, FULL)

    assert given == Verdict(
        id=given.id,
        case=claim.case,
        kind=VerdictKind.REVIEW,
        author="ada",
        at=clock(),
        label="misbehaviour",
        confidence=2,
        reason=FULL.reason,
        clause="3.1",
        span=(0, 2),
        comment=FULL.comment,
        probe="petty",
        probe_version="3",
        blinded=False,
        fence=claim.fence,
        undoes=None,
    )
    assert desk.verdicts.of(claim.case, "anybody") == (given,)


@pytest.mark.parametrize("odd", HARD_TEXTS.values(), ids=HARD_TEXTS)
def test_no_character_in_a_name_or_a_reason_is_lost(desk: ReviewStore, odd: str) -> None:
    claim = desk.claims.take(flagged(desk, reviewers=2), odd)

    given = desk.verdicts.give(claim, replace(HARMLESS, reason=odd))

    assert (given.author, given.reason) == (odd, odd)
    assert desk.claims.next("default", odd) is None


def test_a_draft_that_is_refused_leaves_the_claim(desk: ReviewStore) -> None:
    """Else a mistyped label would cost the reviewer the case."""
    claim = desk.claims.take(flagged(desk), "ada")
    before = everything(desk)

    with pytest.raises(DraftRefused, match="label"):
        desk.verdicts.give(claim, Draft(label="bad", confidence=3))
    with pytest.raises(DraftRefused, match="between 0 and 2"):
        desk.verdicts.give(claim, replace(HARMLESS, span=(0, 3)))

    assert everything(desk) == before
    assert desk.verdicts.give(claim, HARMLESS).label == "harmless"


def test_a_late_verdict_is_refused_and_changes_nothing(desk: ReviewStore, clock: Clock) -> None:
    case = flagged(desk)
    late = desk.claims.take(case, "ada")
    clock.forward(LEASE_SECONDS)
    in_time = desk.claims.take(case, "bob")
    before = everything(desk)

    with pytest.raises(ClaimLost, match=r"'bob' holds it .* nothing was changed"):
        desk.verdicts.give(late, BAD)

    assert everything(desk) == before
    assert desk.verdicts.give(in_time, HARMLESS).author == "bob"


def test_a_claim_is_good_for_one_verdict(desk: ReviewStore) -> None:
    """Four hands on one button."""
    claim = desk.claims.take(flagged(desk, reviewers=3), "ada")

    def give(_: int) -> bool:
        try:
            desk.verdicts.give(claim, HARMLESS)
        except ClaimLost:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        accepted = list(pool.map(give, range(4)))

    assert accepted.count(True) == 1
    assert count(desk, "verdicts") == 1


@pytest.mark.parametrize(
    ("reviewers", "labels", "states"),
    [
        (1, ["harmless"], ["closed"]),
        (2, ["harmless", "harmless"], ["needs_second", "closed"]),
        (2, ["harmless", "misbehaviour"], ["needs_second", "adjudicate"]),
        (3, ["harmless", "harmless", "harmless"], ["needs_second", "needs_second", "closed"]),
        (3, ["harmless", "harmless", "unsure"], ["needs_second", "needs_second", "adjudicate"]),
    ],
)
def test_a_case_goes_from_state_to_state_by_its_verdicts(
    desk: ReviewStore, reviewers: int, labels: list[str], states: list[str]
) -> None:
    case = flagged(desk, reviewers=reviewers)
    seen = []
    for author, label in zip("abc", labels, strict=False):
        ruled(desk, case, **{author: label})
        seen.append(state(desk, case))

    assert seen == states


def disagreed(desk: ReviewStore, number: int = 1) -> int:
    """A case on which ada and bob disagree."""
    case = flagged(desk, number, reviewers=2)
    ruled(desk, case, ada="harmless", bob="misbehaviour")
    return case


def test_a_disagreement_is_settled_by_somebody_else(desk: ReviewStore) -> None:
    case = disagreed(desk)

    claim = desk.claims.next("default", "eve", adjudicator=True)
    assert claim is not None
    settled = desk.verdicts.give(claim, Draft(label="unsure", confidence=3))

    assert settled.kind is VerdictKind.ADJUDICATION
    assert state(desk, case) == "closed"


@pytest.mark.parametrize("author", ["ada", "bob"])
def test_nobody_adjudicates_their_own_case(desk: ReviewStore, author: str) -> None:
    case = disagreed(desk)

    assert desk.claims.next("default", author, adjudicator=True) is None
    with pytest.raises(CaseNotFree, match="has ruled on it"):
        desk.claims.take(case, author, adjudicator=True)


def test_nor_does_somebody_who_took_their_verdict_back(desk: ReviewStore) -> None:
    case = flagged(desk, reviewers=2)
    (first,) = ruled(desk, case, eve="harmless")
    desk.verdicts.undo(first, by="eve")
    ruled(desk, case, ada="harmless", bob="misbehaviour")

    assert desk.claims.next("default", "eve", adjudicator=True) is None


def test_nobody_reads_what_others_said_before_the_case_is_closed(desk: ReviewStore) -> None:
    """A second opinion that knows the first is no second opinion."""
    case = flagged(desk, reviewers=2)
    ruled(desk, case, ada="harmless")

    def seen_by(*readers: str) -> list[list[str]]:
        return [[said.author for said in desk.verdicts.of(case, name)] for name in readers]

    assert seen_by("ada", "bob", "eve") == [["ada"], [], []]
    claim = desk.claims.take(case, "bob")
    assert seen_by("bob") == [[]]
    desk.verdicts.give(claim, HARMLESS)
    assert seen_by("ada", "bob", "eve") == [["ada", "bob"]] * 3


def test_an_adjudicator_reads_both_while_the_case_is_theirs(
    desk: ReviewStore, clock: Clock
) -> None:
    case = disagreed(desk)

    def seen_by(reader: str) -> list[str]:
        return [said.author for said in desk.verdicts.of(case, reader)]

    assert seen_by("eve") == []
    desk.claims.take(case, "eve", adjudicator=True)
    assert (seen_by("eve"), seen_by("ada"), seen_by("bob")) == (["ada", "bob"], ["ada"], ["bob"])
    clock.forward(LEASE_SECONDS)
    assert seen_by("eve") == []


def test_the_record_does_not_say_what_a_verdict_said(desk: ReviewStore) -> None:
    """Whoever may read the record could read there what `of` hides."""
    case = flagged(desk, reviewers=2)
    claim = desk.claims.take(case, "ada")
    said = desk.verdicts.give(claim, replace(BAD, reason="plainly a lie", comment="a lie"))
    desk.verdicts.undo(said.id, by="ada", reason="no lie after all")

    lines = [line for line in desk.audit.latest() if line.subject == f"case {case}"]

    assert len(lines) == 3
    told = " ".join(f"{line.before} {line.after} {line.reason}" for line in lines)
    assert "open by verdict" in told
    assert not [word for word in ("misbehaviour", "lie", "harmless") if word in told]


def test_a_verdict_can_be_taken_back_and_given_anew(desk: ReviewStore) -> None:
    case = flagged(desk)
    (said,) = ruled(desk, case, ada="harmless")

    undo = desk.verdicts.undo(said, by="ada", reason="wrong button")
    assert (undo.kind, undo.undoes, undo.label) == (VerdictKind.UNDO, said, None)
    assert (undo.reason, undo.author) == ("wrong button", "ada")
    assert state(desk, case) == "open"
    ruled(desk, case, ada="misbehaviour")

    entries = desk.verdicts.of(case, "anybody")
    assert [entry.label for entry in entries] == ["harmless", None, "misbehaviour"]
    assert state(desk, case) == "closed"


def test_it_is_taken_back_by_its_author_or_a_lead(desk: ReviewStore) -> None:
    case = flagged(desk, reviewers=2)
    (said,) = ruled(desk, case, ada="harmless")

    with pytest.raises(UndoRefused, match="it is 'ada''s; ask them or a lead"):
        desk.verdicts.undo(said, by="bob")
    undo = desk.verdicts.undo(said, by="bob", lead=True)

    assert undo.author == "bob"
    assert [entry.id for entry in desk.verdicts.of(case, "ada")] == [said, undo.id]


@pytest.mark.parametrize(
    ("labels", "before", "after"),
    [
        ({"ada": "harmless", "bob": "harmless"}, "closed", "needs_second"),
        ({"ada": "harmless", "bob": "misbehaviour"}, "adjudicate", "needs_second"),
        ({"ada": "harmless"}, "needs_second", "open"),
    ],
)
def test_the_case_is_then_open_for_as_many_as_are_missing(
    desk: ReviewStore, labels: dict[str, str], before: str, after: str
) -> None:
    case = flagged(desk, reviewers=2)
    first = ruled(desk, case, **labels)[0]
    assert state(desk, case) == before

    desk.verdicts.undo(first, by="ada")

    assert state(desk, case) == after
    assert desk.claims.next("default", "ada").case == case


def test_an_adjudication_taken_back_leaves_the_disagreement(desk: ReviewStore) -> None:
    case = disagreed(desk)
    (settled,) = ruled(desk, case, eve="harmless")

    desk.verdicts.undo(settled, by="eve")

    assert state(desk, case) == "adjudicate"
    assert desk.claims.next("default", "eve", adjudicator=True).case == case


def test_what_an_adjudication_rests_on_is_not_taken_back(desk: ReviewStore) -> None:
    case = flagged(desk, reviewers=2)
    first, _, settled = ruled(desk, case, ada="harmless", bob="misbehaviour", eve="unsure")

    with pytest.raises(UndoRefused, match="an adjudication rests on it; take that back first"):
        desk.verdicts.undo(first, by="ada")
    desk.verdicts.undo(settled, by="eve")
    desk.verdicts.undo(first, by="ada")

    assert state(desk, case) == "needs_second"


def test_an_adjudicator_does_not_become_one_of_the_reviewers(desk: ReviewStore) -> None:
    """They have read what the others said."""
    case = flagged(desk, reviewers=2)
    first = ruled(desk, case, ada="harmless", bob="misbehaviour")[0]
    claim = desk.claims.take(case, "eve", adjudicator=True)

    desk.verdicts.undo(first, by="ada")

    with pytest.raises(ClaimLost):
        desk.verdicts.give(claim, HARMLESS)


def test_a_second_reviewer_goes_on_when_the_first_takes_theirs_back(desk: ReviewStore) -> None:
    case = flagged(desk, reviewers=2)
    (first,) = ruled(desk, case, ada="harmless")
    claim = desk.claims.take(case, "bob")

    desk.verdicts.undo(first, by="ada")

    assert desk.verdicts.give(claim, HARMLESS).author == "bob"
    assert state(desk, case) == "needs_second"


def test_a_verdict_is_taken_back_once_and_an_undo_never(desk: ReviewStore) -> None:
    (said,) = ruled(desk, flagged(desk), ada="harmless")
    undo = desk.verdicts.undo(said, by="ada")
    before = everything(desk)

    with pytest.raises(UndoRefused, match="taken back before"):
        desk.verdicts.undo(said, by="ada")
    with pytest.raises(UndoRefused, match="rule on the case again"):
        desk.verdicts.undo(undo.id, by="ada")
    assert everything(desk) == before


def test_four_hands_that_take_one_verdict_back_do_so_once(desk: ReviewStore) -> None:
    (said,) = ruled(desk, flagged(desk), ada="harmless")

    def undo(_: int) -> bool:
        try:
            desk.verdicts.undo(said, by="ada")
        except UndoRefused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(undo, range(4))).count(True) == 1


@pytest.mark.parametrize("number", [-(2**80), 0, 7, 2**80])
def test_no_number_breaks_an_undo(desk: ReviewStore, number: int) -> None:
    with pytest.raises(UnknownVerdict, match="open its case"):
        desk.verdicts.undo(number, by="ada")


@pytest.mark.parametrize("change", ["UPDATE verdicts SET label = 'x'", "DELETE FROM verdicts"])
def test_the_database_itself_refuses_to_change_a_verdict(desk: ReviewStore, change: str) -> None:
    ruled(desk, flagged(desk), ada="harmless")
    before = everything(desk)

    with pytest.raises(StoreUnavailable), desk._database.writing() as connection:
        connection.execute(text(change))
    assert everything(desk) == before


@pytest.mark.parametrize(
    "values",
    [
        "'review', 'bob', 'harmless', 3, 1, NULL",
        "'review', 'bob', 'harmless', 6, 2, NULL",
        "'review', 'bob', NULL, NULL, 2, NULL",
        "'hearsay', 'bob', 'harmless', 3, 2, NULL",
        "'undo', 'bob', NULL, NULL, 2, NULL",
        "'undo', 'bob', NULL, NULL, 2, 77",
        "'review', 'bob', 'harmless', 3, 2, 1",
    ],
    ids=["same fence", "confidence", "no label", "kind", "undoes none", "undoes 77", "undoes one"],
)
def test_the_database_itself_refuses_what_is_no_verdict(desk: ReviewStore, values: str) -> None:
    case = flagged(desk, reviewers=2)
    ruled(desk, case, ada="harmless")
    columns = "kind, author, label, confidence, fence, undoes"
    rest = "case_id, at, reason, comment, probe, probe_version, blinded"

    with pytest.raises(StoreUnavailable), desk._database.writing() as connection:
        connection.execute(
            text(
                f"INSERT INTO verdicts ({columns}, {rest}) VALUES "
                f"({values}, {case}, '2026-01-01 00:00:00', '', '', '', '', true)"
            )
        )


def test_a_verdict_of_a_case_that_needs_nothing_more_is_closed_to_all(desk: ReviewStore) -> None:
    case = flagged(desk)
    ruled(desk, case, ada="harmless")

    assert desk.claims.next("default", "bob", adjudicator=True) is None
    assert desk.claims.standing(case).state is CaseState.CLOSED
