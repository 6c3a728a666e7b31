"""Many people and processes at once: no case twice, no verdict lost, nobody's death noticed."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.domain import CaseState, utc_now
from service.review_errors import CaseNotFree, ClaimLost
from service.store import leases
from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.service.store.desk import HARMLESS, LEASE_SECONDS, add_cases, count, flagged
from tests.service.store.test_sqlite import another_process

CASES = 5_000
"""20,000 go as well, in two to four minutes on two cores that have other work to do."""
VERY_PATIENT_SECONDS = 120.0
CLAIM_ALL = """
import sys
from service.store.opening import open_store
with open_store(sys.argv[1], timeout_seconds=120) as store:
    print("open", flush=True)
    while claim := store.claims.next("default", sys.argv[2]):
        print(claim.case)
"""
CLAIM_AND_WAIT = """
import sys, time
from service.store.opening import open_store
store = open_store(sys.argv[1])
claim = store.claims.take(int(sys.argv[2]), "ada")
print("claimed", flush=True)
time.sleep(60)
"""
DIE_WHILE_RULING = """
import sys, time
from service.reviewing import Draft
from service.store import leases
from service.store.opening import open_store
store = open_store(sys.argv[1])
claim = store.claims.take(int(sys.argv[2]), "ada")
def wait(*_, **__):
    print("ruling", flush=True)
    time.sleep(60)
leases.add_entry = wait
store.verdicts.give(claim, Draft(label="misbehaviour", confidence=5))
"""


def at_once(url: str, people: list[str], work: Callable[[ReviewStore, str], Any]) -> list[Any]:
    """Let each of these people do the work on a store of their own, beginning together."""
    start = threading.Barrier(len(people))

    def begin(person: str) -> Any:
        with open_store(url, timeout_seconds=VERY_PATIENT_SECONDS) as own:
            start.wait()
            return work(own, person)

    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(begin, people))


@contextmanager
def claiming(url: str, person: str) -> Iterator[subprocess.Popen[str]]:
    """A process that claims all it can get, and is at it."""
    with another_process(CLAIM_ALL, url, person) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process


def claim_all(store: ReviewStore, person: str) -> list[int]:
    given = []
    while claim := store.claims.next("default", person):
        given.append(claim.case)
    return given


@pytest.mark.timeout(600)
def test_eight_people_who_claim_at_once_get_every_case_once(
    sqlite_store: ReviewStore, sqlite_path: Path
) -> None:
    """Read-then-write gave 148 of 120 cases twice when it was tried."""
    made = add_cases(sqlite_store, CASES)

    given = at_once(f"sqlite:///{sqlite_path}", [f"person {n}" for n in range(8)], claim_all)

    assert sorted(case for cases in given for case in cases) == made
    assert count(sqlite_store, "audit") == CASES


@pytest.mark.timeout(600)
def test_so_do_eight_people_at_five_gateways_on_one_postgres(postgres_url: str) -> None:
    """Four of them each at a process of their own."""
    with open_store(postgres_url) as store, ExitStack() as stack:
        made = add_cases(store, CASES)
        others = [stack.enter_context(claiming(postgres_url, f"process {n}")) for n in range(4)]

        here = at_once(postgres_url, [f"person {n}" for n in range(4)], claim_all)
        there = [[int(line) for line in other.stdout or ()] for other in others]

        assert [other.wait(30) for other in others] == [0] * 4
        assert sorted(case for cases in here + there for case in cases) == made
        assert all(here + there)
        assert count(store, "audit") == CASES


def test_four_people_who_rule_on_the_same_cases_rule_once_on_each(
    store: ReviewStore, database_url: str
) -> None:
    made = add_cases(store, 400)

    def rule_on_all(own: ReviewStore, person: str) -> int:
        accepted = 0
        first = "abcd".index(person) * 100
        for case in made[first:] + made[:first]:
            try:
                own.verdicts.give(own.claims.take(case, person), HARMLESS)
            except (CaseNotFree, ClaimLost):
                continue
            accepted += 1
        return accepted

    accepted = at_once(database_url, list("abcd"), rule_on_all)

    assert sum(accepted) == 400
    assert (count(store, "verdicts"), count(store, "audit")) == (400, 800)
    assert store.counts()[CaseState.CLOSED] == 400


@pytest.mark.parametrize("code", [CLAIM_AND_WAIT, DIE_WHILE_RULING], ids=["claimed", "ruling"])
def test_whoever_dies_between_claim_and_verdict_loses_nothing(
    store: ReviewStore, database_url: str, code: str
) -> None:
    case = flagged(store)
    with another_process(code, database_url, str(case)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() in ("claimed\n", "ruling\n")
        process.send_signal(signal.SIGKILL)
        process.wait(30)

    standing = store.claims.standing(case)
    assert (standing.holder, standing.state) == ("ada", CaseState.IN_REVIEW)
    assert count(store, "verdicts") == 0
    later = ReviewStore(
        store._database, now=lambda: utc_now() + timedelta(seconds=LEASE_SECONDS + 60)
    )
    claim = later.claims.next("default", "bob")
    assert claim is not None
    assert later.verdicts.give(claim, HARMLESS).author == "bob"
    assert later.claims.standing(case).state is CaseState.CLOSED


def test_somebody_with_two_windows_is_not_given_the_case_on_which_they_are_ruling(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second window's statement began before the verdict was there to be seen."""
    ruling, may_end = threading.Event(), threading.Event()
    add_entry = leases.add_entry

    def wait_before_the_end(connection: Any, **entry: Any) -> None:
        if entry["action"] == "verdict.give":
            ruling.set()
            assert may_end.wait(30)
        add_entry(connection, **entry)

    with open_store(postgres_url, timeout_seconds=30) as store, ThreadPoolExecutor(2) as pool:
        case = flagged(store, reviewers=2)
        claim = store.claims.take(case, "ada")
        monkeypatch.setattr(leases, "add_entry", wait_before_the_end)
        first = pool.submit(store.verdicts.give, claim, HARMLESS)
        assert ruling.wait(30)
        second = pool.submit(store.claims.take, case, "ada")
        wait_until_somebody_waits(postgres_url)
        may_end.set()

        assert first.result().author == "ada"
        with pytest.raises(CaseNotFree, match="'ada' has ruled on it"):
            second.result()


def wait_until_somebody_waits(url: str) -> None:
    """Until a transaction waits for a lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    deadline = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as observer:
        while observer.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_two_people_who_want_different_cases_do_not_wait_for_each_other(
    postgres_url: str,
) -> None:
    """Whoever claims next passes over a case that somebody is just claiming."""
    with open_store(postgres_url, timeout_seconds=5) as store:
        first, second = flagged(store, 1), flagged(store, 2)
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT id FROM cases WHERE id = %s FOR UPDATE", (first,))

            assert store.claims.next("default", "ada").case == second
