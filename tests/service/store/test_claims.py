"""Claims on both databases: nobody gets what somebody else has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from service.domain import CaseState
from service.review_errors import CaseNotFree, ClaimLost, UnknownCase
from service.reviewing import Claim
from service.store.review import ReviewStore
from tests.service.store.desk import (
    BAD,
    HARMLESS,
    LEASE_SECONDS,
    Clock,
    everything,
    flagged,
    ruled,
    want_reviewers,
)
from tests.service.store.examples import FLAG, flag


def test_the_highest_band_comes_first_then_the_oldest(desk: ReviewStore) -> None:
    wanted = {}
    for number, (statistic, minutes) in enumerate([(1.3, 0), (9.0, 2), (9.0, 1), (1.3, 1)]):
        moment = FLAG.created_at + timedelta(minutes=minutes)
        made = desk.commit_flag(flag(number, statistic=statistic, created_at=moment))
        wanted[made.id] = (-statistic, minutes)

    given = [desk.claims.next("default", "ada") for _ in wanted]

    assert [claim.case for claim in given if claim] == sorted(wanted, key=wanted.__getitem__)
    assert desk.claims.next("default", "ada") is None


def test_an_expired_case_takes_its_place_in_that_order(desk: ReviewStore, clock: Clock) -> None:
    """Whether nobody had it yet, or somebody who went away, is no matter of urgency."""
    third, second, first = (
        desk.commit_flag(flag(n, statistic=statistic)).id for n, statistic in enumerate((1.3, 2, 9))
    )
    desk.claims.take(second, "bob")
    clock.forward(LEASE_SECONDS)

    given = [desk.claims.next("default", "ada") for _ in range(3)]

    assert [claim.case for claim in given if claim] == [first, second, third]


def test_a_claim_says_what_it_gives(desk: ReviewStore, clock: Clock) -> None:
    case = flagged(desk)

    claim = desk.claims.next("default", "ada")

    until = clock() + timedelta(seconds=LEASE_SECONDS)
    assert claim == Claim(case=case, queue="default", holder="ada", fence=1, lease_until=until)
    standing = desk.claims.standing(case)
    assert (standing.state, standing.holder, standing.lease_until) == ("in_review", "ada", until)
    assert (standing.band, standing.reviewers, standing.assigned_to) == (0, 1, None)


def test_a_queue_gives_only_its_own_cases(desk: ReviewStore) -> None:
    desk.queues.create(replace(desk.queues.get("default"), name="other"), by="op", reason="")
    flagged(desk)

    assert desk.claims.next("other", "ada") is None


def test_nobody_else_gets_a_case_that_is_held(desk: ReviewStore, clock: Clock) -> None:
    case = flagged(desk)
    desk.claims.take(case, "ada")
    clock.forward(LEASE_SECONDS - 1)

    assert desk.claims.next("default", "bob") is None
    with pytest.raises(CaseNotFree, match="'ada' holds it until 2026-11-02 12:10:00 UTC"):
        desk.claims.take(case, "bob")


@pytest.mark.parametrize("how", ["next", "take"])
def test_a_lease_that_has_ended_is_free_for_others_by_itself(
    desk: ReviewStore, clock: Clock, how: str
) -> None:
    case = flagged(desk)
    desk.claims.take(case, "ada")
    clock.forward(LEASE_SECONDS)
    assert desk.claims.standing(case).state is CaseState.OPEN

    claims = desk.claims
    claim = claims.next("default", "bob") if how == "next" else claims.take(case, "bob")

    assert (claim.holder, claim.fence) == ("bob", 2)


def bar(desk: ReviewStore, case: int, how: str) -> None:
    """Make a case one that ada may not have."""
    if how == "ruled":
        ruled(desk, case, ada="harmless")
    elif how == "skipped":
        desk.claims.skip(desk.claims.take(case, "ada"), "I know the user")
    elif how == "assigned":
        desk.claims.assign(case, "eve", by="op")
    elif how == "disagreed":
        ruled(desk, case, bob="harmless", eve="misbehaviour")
    elif how == "held":
        desk.claims.take(case, "bob")
    elif how == "closed":
        ruled(desk, case, bob="harmless", eve="harmless")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("ruled", "'ada' has ruled on it"),
        ("skipped", "'ada' has skipped it"),
        ("assigned", "it is assigned to 'eve'"),
        ("disagreed", "its reviewers disagree; leave it to an adjudicator"),
        ("closed", "it is closed"),
    ],
)
def test_a_case_that_is_not_for_this_reviewer_is_never_given(
    desk: ReviewStore, how: str, told: str
) -> None:
    case = flagged(desk, reviewers=2)
    bar(desk, case, how)
    before = everything(desk)

    assert desk.claims.next("default", "ada") is None
    with pytest.raises(CaseNotFree, match=told):
        desk.claims.take(case, "ada")
    assert everything(desk) == before


@pytest.mark.parametrize("how", ["ruled", "skipped", "assigned", "disagreed", "closed", "held"])
def test_it_hides_no_other_case(desk: ReviewStore, how: str) -> None:
    want_reviewers(desk, 2)
    urgent = desk.commit_flag(flag(1, statistic=9.0)).id
    other = desk.commit_flag(flag(2)).id
    bar(desk, urgent, how)

    assert desk.claims.next("default", "ada").case == other


@pytest.mark.parametrize("how", ["ruled", "skipped"])
def test_it_is_given_to_others(desk: ReviewStore, how: str) -> None:
    case = flagged(desk, reviewers=2)
    bar(desk, case, how)

    claim = desk.claims.next("default", "bob")

    assert claim is not None
    assert claim.case == case


def test_an_assigned_case_is_given_to_whom_it_is_assigned(desk: ReviewStore) -> None:
    case = flagged(desk)
    desk.claims.assign(case, "eve", by="op", reason="speaks the language")

    assert desk.claims.next("default", "eve").case == case


def test_an_assignment_takes_the_case_from_whoever_holds_it(desk: ReviewStore) -> None:
    case = flagged(desk)
    claim = desk.claims.take(case, "ada")

    desk.claims.assign(case, "eve", by="op")

    with pytest.raises(ClaimLost, match="it is assigned to 'eve', and nobody holds it") as caught:
        desk.claims.beat(claim)
    assert caught.value.holder is None
    assert desk.claims.take(case, "eve").fence == 2


@pytest.mark.parametrize("to", ["ada", None])
def test_an_assignment_to_the_holder_or_to_nobody_leaves_them_at_work(
    desk: ReviewStore, to: str | None
) -> None:
    claim = desk.claims.take(flagged(desk), "ada")

    desk.claims.assign(claim.case, to, by="op")

    assert desk.claims.beat(claim) == claim


def test_an_assignment_can_be_lifted(desk: ReviewStore) -> None:
    case = flagged(desk)
    desk.claims.assign(case, "eve", by="op")

    desk.claims.assign(case, None, by="op")

    assert desk.claims.take(case, "ada").case == case


@pytest.mark.parametrize("how", ["ruled", "skipped", "closed"])
def test_a_case_is_not_assigned_to_somebody_who_could_not_rule_on_it(
    desk: ReviewStore, how: str
) -> None:
    """It would wait for them for ever."""
    case = flagged(desk, reviewers=2)
    bar(desk, case, how)
    before = everything(desk)

    with pytest.raises(CaseNotFree):
        desk.claims.assign(case, "ada", by="op")
    assert everything(desk) == before


@pytest.mark.parametrize("how", ["skip", "give"])
def test_an_assignment_ends_with_its_work(desk: ReviewStore, how: str) -> None:
    """Else a case that they skipped would be free for nobody."""
    case = flagged(desk, reviewers=2)
    desk.claims.assign(case, "ada", by="op")
    claim = desk.claims.take(case, "ada")

    if how == "skip":
        desk.claims.skip(claim, "")
    else:
        desk.verdicts.give(claim, HARMLESS)

    assert desk.claims.next("default", "bob").case == case


def test_a_released_case_is_free_for_all_and_still_assigned(desk: ReviewStore) -> None:
    free, assigned = flagged(desk, 1), flagged(desk, 2)
    desk.claims.assign(assigned, "ada", by="op")
    for case in (free, assigned):
        desk.claims.release(desk.claims.take(case, "ada"))

    assert desk.claims.standing(free).state is CaseState.OPEN
    assert desk.claims.standing(assigned).assigned_to == "ada"
    assert desk.claims.take(free, "ada").fence == 2


def test_a_sign_of_life_extends_the_lease(desk: ReviewStore, clock: Clock) -> None:
    claim = desk.claims.take(flagged(desk), "ada")
    for _ in range(3):
        clock.forward(LEASE_SECONDS - 1)
        claim = desk.claims.beat(claim)

    assert claim.lease_until == clock() + timedelta(seconds=LEASE_SECONDS)
    assert claim.fence == 1
    assert desk.claims.next("default", "bob") is None


def expire(desk: ReviewStore, clock: Clock, claim: Claim) -> None:
    clock.forward(LEASE_SECONDS)


def lose_to_bob(desk: ReviewStore, clock: Clock, claim: Claim) -> None:
    clock.forward(LEASE_SECONDS)
    desk.claims.take(claim.case, "bob")


def claim_anew(desk: ReviewStore, clock: Clock, claim: Claim) -> None:
    clock.forward(LEASE_SECONDS)
    desk.claims.take(claim.case, "ada")


def close(desk: ReviewStore, clock: Clock, claim: Claim) -> None:
    desk.verdicts.give(claim, HARMLESS)


def give_back(desk: ReviewStore, clock: Clock, claim: Claim) -> None:
    desk.claims.release(claim)


Loss = Callable[[ReviewStore, Clock, Claim], None]
LOSSES: dict[Loss, tuple[str, str | None]] = {
    expire: (
        "ended at 2026-11-02 12:10:00 UTC, and nobody holds the case now; .*claim it again",
        None,
    ),
    lose_to_bob: ("'bob' holds it until 2026-11-02 12:20:00 UTC; .*go on to the next one", "bob"),
    claim_anew: ("you hold the case under a newer claim; .*window that has it", "ada"),
    close: ("the case is closed; .*go on to the next one", None),
    give_back: ("it ended, and nobody holds the case now; .*claim it again", None),
}


@pytest.mark.parametrize("act", ["beat", "release", "skip", "give"])
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_lost_claim_does_nothing_and_says_who_has_the_case(
    desk: ReviewStore, clock: Clock, lose: Loss, act: str
) -> None:
    claim = desk.claims.take(flagged(desk), "ada")
    lose(desk, clock, claim)
    before = everything(desk)
    told, holder = LOSSES[lose]
    do = {
        "beat": lambda: desk.claims.beat(claim),
        "release": lambda: desk.claims.release(claim),
        "skip": lambda: desk.claims.skip(claim, ""),
        "give": lambda: desk.verdicts.give(claim, BAD),
    }[act]

    with pytest.raises(ClaimLost, match=told) as caught:
        do()
    assert caught.value.holder == holder
    assert everything(desk) == before


@pytest.mark.parametrize("changes", [{"holder": "bob"}, {"fence": 2}, {"fence": 2**80}])
def test_a_claim_is_good_only_as_it_was_given(
    desk: ReviewStore, changes: dict[str, object]
) -> None:
    claim = desk.claims.take(flagged(desk), "ada")

    with pytest.raises(ClaimLost):
        desk.claims.beat(replace(claim, **changes))


@pytest.mark.parametrize("number", [-(2**80), -1, 0, 7, 2**63, 2**80])
def test_no_number_from_an_address_line_breaks_the_database(desk: ReviewStore, number: int) -> None:
    claim = replace(desk.claims.take(flagged(desk), "ada"), case=number)
    for call in (
        lambda: desk.claims.take(number, "bob"),
        lambda: desk.claims.assign(number, "bob", by="op"),
        lambda: desk.claims.beat(claim),
        lambda: desk.claims.release(claim),
    ):
        with pytest.raises(UnknownCase, match="list the cases"):
            call()
    assert desk.claims.standing(number) is None
    assert desk.verdicts.of(number, "ada") == ()


def test_a_page_that_was_reloaded_finds_its_claims(desk: ReviewStore, clock: Clock) -> None:
    expired = desk.claims.take(flagged(desk, 1), "ada")
    clock.forward(LEASE_SECONDS - 1)
    held = desk.claims.take(flagged(desk, 2), "ada")
    desk.claims.take(flagged(desk, 3), "bob")
    clock.forward(1)

    assert desk.claims.held_by("ada") == (held,)
    assert expired not in desk.claims.held_by("ada")


def test_cases_that_somebody_works_on_are_listed_and_counted_as_such(
    desk: ReviewStore, clock: Clock
) -> None:
    held, free, seconded = (flagged(desk, number, reviewers=2) for number in (1, 2, 3))
    desk.claims.take(held, "ada")
    ruled(desk, seconded, bob="harmless")
    desk.claims.take(seconded, "ada")

    def listed(state: CaseState) -> list[int]:
        return [case.id for case in desk.cases(state=state).cases]

    assert listed(CaseState.IN_REVIEW) == [held]
    assert listed(CaseState.OPEN) == [free]
    assert listed(CaseState.NEEDS_SECOND) == [seconded]
    assert [case.state for case in desk.cases().cases] == ["needs_second", "open", "in_review"]
    assert desk.case(held).state is CaseState.IN_REVIEW
    counts = {state: count for state, count in desk.counts().items() if count}
    assert counts == {CaseState.IN_REVIEW: 1, CaseState.OPEN: 1, CaseState.NEEDS_SECOND: 1}
    clock.forward(LEASE_SECONDS)
    assert listed(CaseState.OPEN) == [free, held]
    assert desk.counts()[CaseState.OPEN] == 2
