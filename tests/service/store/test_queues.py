"""Queues on both databases."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from service.review_errors import QueueExists, UnknownQueue
from service.store.errors import DamagedRow
from service.store.review import ReviewStore
from tests.service.store.desk import fields, queue, want_reviewers
from tests.service.store.examples import HARD_TEXTS, flag

STRICT = queue(
    "strict",
    reviewers=3,
    blinded=False,
    blurred=True,
    reason_required=True,
    clause_required=True,
    lease_seconds=60,
)


def test_a_new_store_has_one_queue(store: ReviewStore) -> None:
    (default,) = store.queues.list()

    labels = [label.name for label in default.rubric.labels]
    assert (default.name, labels) == ("default", ["misbehaviour", "harmless", "unsure"])
    assert (default.blinded, default.blurred, default.lease_seconds) == (True, False, 600)
    assert (default.reviewers, default.reason_required) == (1, False)
    assert not default.clause_required


def test_a_queue_comes_back_whole(store: ReviewStore) -> None:
    store.queues.create(STRICT, by="op", reason="for the regulator")

    assert store.queues.get("strict") == STRICT
    assert [found.name for found in store.queues.list()] == ["default", "strict"]


@pytest.mark.parametrize("odd", [odd for odd in HARD_TEXTS.values() if odd])
def test_no_character_in_a_queue_is_lost(store: ReviewStore, odd: str) -> None:
    odd_queue = queue(odd.strip() or "odd")
    store.queues.create(odd_queue, by=odd, reason=odd)

    assert store.queues.get(odd_queue.name) == odd_queue


def test_a_name_is_given_once(store: ReviewStore) -> None:
    with pytest.raises(QueueExists, match="choose another name"):
        store.queues.create(queue("default"), by="op", reason="")


@pytest.mark.parametrize("call", ["get", "change", "next"])
def test_an_unknown_queue_is_told(store: ReviewStore, call: str) -> None:
    calls = {
        "get": lambda: store.queues.get("nobody's"),
        "change": lambda: store.queues.change(queue("nobody's"), by="op", reason=""),
        "next": lambda: store.claims.next("nobody's", "ada"),
    }
    with pytest.raises(UnknownQueue, match="list the queues"):
        calls[call]()


def test_making_and_changing_a_queue_is_on_record(store: ReviewStore) -> None:
    store.queues.create(STRICT, by="op", reason="new")
    store.queues.change(queue("strict"), by="eve", reason="too strict")
    store.queues.change(queue("strict"), by="eve", reason="the same again")

    changed, made = store.audit.latest()
    assert (made.actor, made.action, made.subject) == ("op", "queue.create", "strict")
    assert (changed.actor, changed.action, changed.reason) == ("eve", "queue.change", "too strict")
    assert made.before is None
    assert changed.before == made.after
    assert json.loads(made.after or "")["reviewers"] == 3
    assert json.loads(changed.after or "")["reviewers"] == 1


def test_a_case_keeps_the_number_of_reviewers_that_it_was_made_with(store: ReviewStore) -> None:
    want_reviewers(store, 2)
    old = store.commit_flag(flag(1)).id
    want_reviewers(store, 5)
    new = store.commit_flag(flag(2)).id

    assert [fields(store, case)["reviewers"] for case in (old, new)] == [2, 5]


def test_a_flag_is_not_lost_where_the_queue_is(store: ReviewStore) -> None:
    """Somebody's hand in the database must not make answers leave unreviewed."""
    with store._database.writing() as connection:
        connection.execute(text("DELETE FROM queues"))

    case = store.commit_flag(flag(1)).id

    assert (fields(store, case)["reviewers"], fields(store, case)["queue"]) == (1, "default")


@pytest.mark.parametrize("damage", ["{", "[]", '{"labels": [], "clauses": []}'])
def test_a_damaged_queue_is_told_as_such(store: ReviewStore, damage: str) -> None:
    with store._database.writing() as connection:
        connection.execute(text("UPDATE queues SET rubric = :damage"), {"damage": damage})

    with pytest.raises(DamagedRow, match="queue 'default'"):
        store.queues.get("default")
