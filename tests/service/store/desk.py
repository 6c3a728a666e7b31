"""What tests of human review share: a clock to move, people, queues and cases in bulk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, text

from service.domain import CaseState
from service.reviewing import Claim, Draft, Queue, Rubric, Term
from service.store.review import ReviewStore
from service.store.rows import row_of_flag
from service.store.tables import audit, cases, flags, skips, verdicts
from tests.service.store.examples import FLAG, flag

LEASE_SECONDS = 600
HARMLESS = Draft(label="harmless", confidence=4)
BAD = Draft(label="misbehaviour", confidence=5)
RUBRIC = Rubric(
    labels=tuple(Term(name=name, sentence="When it is.") for name in ("misbehaviour", "harmless")),
    clauses=(Term(name="3.1", sentence="No lies in small matters."),),
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def queue(name: str = "default", **changes: Any) -> Queue:
    """A queue with two labels and a clause."""
    return replace(Queue(name=name, rubric=RUBRIC), **changes)


def want_reviewers(store: ReviewStore, reviewers: int) -> None:
    """Let cases that are made from now on want that many verdicts."""
    standing = store.queues.get("default")
    store.queues.change(replace(standing, reviewers=reviewers), by="op", reason="")


def flagged(store: ReviewStore, number: int = 1, *, reviewers: int = 1) -> int:
    """A case of its own that wants that many verdicts; its number."""
    want_reviewers(store, reviewers)
    return store.commit_flag(flag(number)).id


def ruled(store: ReviewStore, case: int, **labels: str) -> list[int]:
    """Let each of these people say that of a case; the numbers of what they said."""
    return [
        store.verdicts.give(
            store.claims.take(case, author, adjudicator=True), Draft(label=label, confidence=3)
        ).id
        for author, label in labels.items()
    ]


def add_cases(store: ReviewStore, number: int, **values: Any) -> list[int]:
    """That many open cases with their flags, in two statements; their numbers."""
    like = row_of_flag(FLAG)
    names = [f"bulk-{n}" for n in range(number)]
    place = {"state": CaseState.OPEN.value, "created_at": FLAG.created_at, **values}
    with store._database.writing() as connection:
        connection.execute(insert(flags), [like | {"id": n, "request_id": n} for n in names])
        connection.execute(insert(cases), [place | {"request_id": n} for n in names])
        return list(connection.scalars(select(cases.c.id).order_by(cases.c.id)))


def everything(store: ReviewStore) -> dict[str, list[Any]]:
    """All rows that review may change."""
    with store._database.reading() as connection:
        rows = {
            table.name: connection.execute(select(table).order_by(table.c.id))
            for table in (cases, verdicts, skips, audit)
        }
        return {name: [tuple(row) for row in found] for name, found in rows.items()}


def acts(store: ReviewStore) -> list[tuple[str, str, str]]:
    """Who did what to what, oldest first, without changes of queues."""
    told = [line for line in store.audit.latest(limit=500) if "queue." not in line.action]
    return [(line.actor, line.action, line.subject) for line in reversed(told)]


def fields(store: ReviewStore, case: int) -> dict[str, Any]:
    """A case's row."""
    with store._database.reading() as connection:
        return dict(connection.execute(select(cases).where(cases.c.id == case)).mappings().one())


def count(store: ReviewStore, table: str) -> int:
    """Rows in a table."""
    with store._database.reading() as connection:
        return int(connection.scalar(select(func.count()).select_from(text(table))) or 0)


def again(claim: Claim, **changes: Any) -> Claim:
    """The same claim, changed as a client might send it."""
    return replace(claim, **changes)
