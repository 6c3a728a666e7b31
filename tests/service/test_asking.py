"""Asking the store: never for ever, and not again for every one who asks."""

from __future__ import annotations

import asyncio
import threading

import pytest

from service.asking import REMEMBERED_SECONDS, Remembered, in_time
from service.store.errors import StoreUnavailable
from service.store.faults import unavailable

PATIENT_SECONDS, HASTY_SECONDS = 30.0, 0.05


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Stuck:
    """A store that answers once it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        assert self.let.wait(PATIENT_SECONDS)
        return self.asked


def test_a_read_that_takes_too_long_is_given_up() -> None:
    stuck = Stuck()

    async def read() -> None:
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await in_time(HASTY_SECONDS, stuck)
        stuck.let.set()

    asyncio.run(asyncio.wait_for(read(), PATIENT_SECONDS / 2))


def test_a_read_in_time_gets_its_facts() -> None:
    assert asyncio.run(in_time(PATIENT_SECONDS, divmod, 7, 2)) == (3, 1)


def test_an_answer_is_given_again_for_a_second_and_then_asked_for_anew() -> None:
    """Whoever can reach the port could otherwise make the disk write without an end."""
    clock, numbers = Clock(), iter(range(9))
    heartbeat = Remembered(lambda: next(numbers), timeout_seconds=PATIENT_SECONDS, clock=clock)

    async def ask() -> list[int | None]:
        first = [await heartbeat.answer(), await heartbeat.answer()]
        clock.seconds += REMEMBERED_SECONDS
        return [*first, await heartbeat.answer()]

    assert asyncio.run(ask()) == [0, 0, 1]


def test_many_who_ask_a_store_that_hangs_wait_in_one_thread_and_not_for_ever() -> None:
    stuck = Stuck()
    heartbeat = Remembered(stuck, timeout_seconds=HASTY_SECONDS)

    async def ask() -> list[int | None]:
        late = await asyncio.gather(*(heartbeat.answer() for _ in range(50)))
        stuck.let.set()
        return late

    late = asyncio.run(asyncio.wait_for(ask(), PATIENT_SECONDS / 2))
    assert (late, stuck.asked, heartbeat.latest) == ([None] * 50, 1, None)


def test_a_store_that_fails_answers_nothing() -> None:
    def fail() -> int:
        raise unavailable("sqlite:///x", "full")

    assert asyncio.run(Remembered(fail, timeout_seconds=PATIENT_SECONDS).answer()) is None
