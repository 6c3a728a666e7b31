"""Queues: how the cases in each are reviewed, changed only together with an audit line."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, select, update

from service.review_errors import QueueExists, QueueRefused, UnknownQueue
from service.reviewing import Queue, Rubric, Term
from service.store.audit import add_entry
from service.store.database import Database
from service.store.errors import DamagedRow
from service.store.tables import queues


class Queues:
    """What there is to work through, and by which rules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, queue: Queue, *, by: str, reason: str) -> None:
        """Make a queue.

        Raises:
            QueueExists: there is one of that name.
            StoreUnavailable: the database failed.
        """
        add = self._database.insert_once(queues, key="name").values(_row_of_queue(queue))
        with self._database.writing() as connection:
            if connection.execute(add.returning(queues.c.name)).first() is None:
                raise QueueExists(queue.name)
            _record(connection, "create", None, queue, by, reason)

    def change(self, queue: Queue, *, by: str, reason: str) -> None:
        """Let a queue of that name have these settings from now on.

        Cases that are in it keep the number of reviewers that they were made with, and
        verdicts keep the labels that they were given.

        Raises:
            UnknownQueue: there is none of that name.
            StoreUnavailable: the database failed; the queue is as it was.
        """
        this_queue = queues.c.name == queue.name
        with self._database.writing() as connection:
            standing = select(queues).where(this_queue).with_for_update()
            row = connection.execute(standing).mappings().first()
            if row is None:
                raise UnknownQueue(queue.name)
            before = _queue_of_row(row)
            if before == queue:
                return
            connection.execute(update(queues).where(this_queue).values(_row_of_queue(queue)))
            _record(connection, "change", before, queue, by, reason)

    def get(self, name: str) -> Queue:
        """One queue.

        Raises:
            UnknownQueue: there is none of that name.
            StoreUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            return queue_named(connection, name)

    def list(self) -> tuple[Queue, ...]:
        """All queues by name.

        Raises:
            StoreUnavailable: the database failed.
        """
        by_name = select(queues).order_by(queues.c.name)
        with self._database.reading() as connection:
            return tuple(_queue_of_row(row) for row in connection.execute(by_name).mappings())


def queue_named(connection: Connection, name: str) -> Queue:
    """A queue as the caller's transaction sees it.

    Raises:
        UnknownQueue: there is none of that name.
    """
    asked = select(queues).where(queues.c.name == name)
    row = connection.execute(asked).mappings().first()
    if row is None:
        raise UnknownQueue(name)
    return _queue_of_row(row)


def _record(
    connection: Connection, what: str, before: Queue | None, after: Queue, by: str, reason: str
) -> None:
    add_entry(
        connection,
        actor=by,
        action=f"queue.{what}",
        subject=after.name,
        before=None if before is None else _as_json(asdict(before)),
        after=_as_json(asdict(after)),
        reason=reason,
    )


def _row_of_queue(queue: Queue) -> dict[str, str | int | bool]:
    return {
        "name": queue.name,
        "rubric": _as_json(asdict(queue.rubric)),
        "reviewers": queue.reviewers,
        "blinded": queue.blinded,
        "blurred": queue.blurred,
        "reason_required": queue.reason_required,
        "clause_required": queue.clause_required,
        "lease_seconds": queue.lease_seconds,
    }


def _queue_of_row(row: RowMapping) -> Queue:
    try:
        return Queue(**{**row, "rubric": _rubric_of(row["rubric"])})
    except (ValueError, TypeError, KeyError, QueueRefused) as error:
        raise DamagedRow(f"queue {row['name']!r}", f"{type(error).__name__}") from None


def _rubric_of(packed: str) -> Rubric:
    found = json.loads(packed)
    terms = {part: tuple(Term(**term) for term in found[part]) for part in ("labels", "clauses")}
    return Rubric(labels=terms["labels"], clauses=terms["clauses"])


def _as_json(value: object) -> str:
    """Lone surrogates stay characters, for the column's own encoding to keep."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
