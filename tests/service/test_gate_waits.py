"""The gate's patience: with an engine that reads, and with a client that does not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from probing.policy import Action
from service.ledger import Answer
from service.reasons import Unscored, Withheld
from service.store.review import ReviewStore
from tests.service.scripted import script
from tests.service.test_gate import WORDS, Desk


def test_a_prompt_that_is_being_read_is_no_hanging_engine(store: ReviewStore) -> None:
    """A long prompt takes longer than a step may; chunk by chunk the engine still moves."""
    desk = Desk(store, [], hang=True, reading=1, step_timeout_seconds=0.05)

    async def ask() -> Answer:
        run = asyncio.create_task(desk.run().answer(desk.keep))
        await asyncio.sleep(0.3)
        desk.engine.reading = 0
        return await run

    with pytest.raises(Withheld) as withheld:
        asyncio.run(asyncio.wait_for(ask(), 5))

    assert withheld.value.reason is Unscored.STEP_TIMEOUT
    assert desk.count("probewatch_e2e_request_latency_seconds_sum") > 0.3


def test_an_engine_that_stands_still_over_a_prompt_is_given_up(store: ReviewStore) -> None:
    desk = Desk(store, [], hang=True, reading=1, still=True, step_timeout_seconds=0.05)

    with pytest.raises(Withheld, match="no scored token came in time"):
        asyncio.run(asyncio.wait_for(desk.run().answer(desk.keep), 5))


def test_a_client_that_takes_nothing_is_left_and_recorded(store: ReviewStore) -> None:
    """Its socket is full and stays so: the answer would hold a row and miss its record."""
    desk = Desk(store, script(*WORDS), step_timeout_seconds=0.05)

    _withheld(desk.run().answer(_never), Unscored.CLIENT_DISCONNECTED)

    record = store.request("r1")
    assert record is not None
    assert record.reason == "client_disconnected"


def test_a_shutdown_does_not_wait_for_a_client_that_takes_nothing(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS))

    async def shut_down() -> Answer:
        run = desk.run(Action.FLAG)
        answer = asyncio.create_task(run.answer(_never))
        await asyncio.sleep(0.05)
        run.cancel(Unscored.SHUTDOWN)
        return await answer

    _withheld(shut_down(), Unscored.SHUTDOWN)

    record = store.request("r1")
    assert record is not None
    assert record.reason == "shutdown"


async def _never(text: str) -> None:
    await asyncio.Event().wait()


def _withheld(answer: Coroutine[object, object, Answer], reason: Unscored) -> None:
    with pytest.raises(Withheld) as withheld:
        asyncio.run(asyncio.wait_for(answer, 3))
    assert withheld.value.reason is reason
