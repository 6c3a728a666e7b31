"""What a claim leaves on record, what it costs the database, and how cases come to be there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from service.store import candidates, leases, turns
from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.service.store.desk import (
    BAD,
    acts,
    add_cases,
    everything,
    fields,
    flagged,
    ruled,
)
from tests.service.store.examples import FLAG, flag


def test_every_act_is_one_line_on_record(desk: ReviewStore) -> None:
    case = flagged(desk, reviewers=2)
    claims = desk.claims
    claims.release(claims.next("default", "ada"))
    claims.skip(claims.beat(claims.take(case, "ada")), "I know the user")
    claims.assign(case, "bob", by="op", reason="his turn")
    ruled(desk, case, bob="harmless")

    subject = f"case {case}"
    assert acts(desk) == [
        ("ada", "case.claim", subject),
        ("ada", "case.release", subject),
        ("ada", "case.claim", subject),
        ("ada", "case.skip", subject),
        ("op", "case.assign", subject),
        ("bob", "case.claim", subject),
        ("bob", "verdict.give", subject),
    ]
    reasons = [line.reason for line in desk.audit.latest() if line.reason]
    assert reasons == ["his turn", "I know the user"]


@pytest.mark.parametrize("act", ["next", "take", "release", "skip", "assign", "give", "undo"])
def test_what_cannot_be_put_on_record_is_not_done(
    desk: ReviewStore, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    case, other = flagged(desk, 1), flagged(desk, 2)
    claim = desk.claims.take(case, "ada")
    (said,) = ruled(desk, other, bob="harmless")
    third = flagged(desk, 3)
    before = everything(desk)
    do = {
        "next": lambda: desk.claims.next("default", "ada"),
        "take": lambda: desk.claims.take(third, "ada"),
        "release": lambda: desk.claims.release(claim),
        "skip": lambda: desk.claims.skip(claim, ""),
        "assign": lambda: desk.claims.assign(case, "bob", by="op"),
        "give": lambda: desk.verdicts.give(claim, BAD),
        "undo": lambda: desk.verdicts.undo(said, by="bob"),
    }[act]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no record")

    monkeypatch.setattr(leases, "add_entry", fail)

    with pytest.raises(RuntimeError, match="no record"):
        do()
    assert everything(desk) == before


def test_without_a_clock_of_its_own_a_store_goes_by_the_databases(
    store: ReviewStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway whose clock is a day ahead would take every case from whoever works on it."""
    case, other = flagged(store, 1), flagged(store, 2)
    store.claims.take(case, "ada")
    fast = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(turns, "utc_now", lambda: fast)

    holder = store.claims.standing(case).holder
    lease_until = store.claims.take(other, "ada").lease_until

    shared = database_url.startswith("postgresql")
    assert holder == ("ada" if shared else None)
    assert (lease_until < fast) is shared


def test_a_claim_does_not_walk_past_all_that_others_hold(sqlite_store: ReviewStore) -> None:
    add_cases(sqlite_store, 20)
    wanted = candidates.asked("ada", FLAG.created_at, 600, False) | {"in_queue": "default"}
    statement = candidates.BY_PRIORITY.compile(sqlite_store._database._writer)
    values = [statement.construct_params(wanted)[name] for name in statement.positiontup]

    with sqlite_store._database.writing() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {statement}", tuple(map(str, values))
        ).all()

    steps = [str(step[-1]) for step in plan]
    assert any("waiting USING INDEX ix_cases_waiting" in step for step in steps), steps
    assert any("expired USING INDEX ix_cases_leased" in step for step in steps), steps


def test_nor_does_it_sort_a_queue_that_was_just_filled(postgres_url: str) -> None:
    """PostgreSQL has no statistics of it yet, and would join all of it with all verdicts.

    Asked for the plan that it makes for whatever values: so it serves a statement that it
    has seen often.
    """
    with open_store(postgres_url) as store:
        add_cases(store, 2000)
        statement = str(candidates.BY_PRIORITY.compile(store._database._engine))
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
        for number, name in enumerate(names, 1):
            statement = statement.replace(f"%({name})s", f"${number}")
        with store._database.writing() as connection:
            asked = f"EXPLAIN (GENERIC_PLAN) {statement}"
            plan = connection.exec_driver_sql(asked).scalars().all()

    assert any("Index Scan using ix_cases_waiting on cases waiting" in step for step in plan)
    assert not any("Sort Key: waiting" in step or "Anti Join" in step for step in plan)


def test_a_new_flag_is_placed_by_how_far_it_is_above(desk: ReviewStore) -> None:
    placed = [desk.commit_flag(flag(n, threshold=2.0, statistic=2.0 + n / 2)).id for n in range(5)]

    assert [desk.claims.standing(case).band for case in placed] == [0, 2, 3, 3, 4]


def test_a_gateway_of_the_version_before_goes_on_making_cases(store: ReviewStore) -> None:
    """It knows none of the new columns."""
    flagged(store, 1)
    with store._database.writing() as connection:
        connection.execute(text("CREATE TABLE mine AS SELECT * FROM flags"))
        connection.execute(text("UPDATE mine SET id = 'f2', request_id = 'r2'"))
        connection.execute(text("INSERT INTO flags SELECT * FROM mine"))
        connection.execute(
            text(
                "INSERT INTO cases (request_id, state, created_at) "
                "VALUES ('r2', 'open', '2026-01-01 00:00:00')"
            )
        )

    claim = store.claims.next("default", "ada")

    assert claim is not None
    assert fields(store, claim.case)["request_id"] == "r2"
