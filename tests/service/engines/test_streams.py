"""From the engine's thread to an event loop."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from probing.policy import Decision
from service.engines.protocol import EngineFailure, Step
from service.engines.streams import LocalStream, Outbox

VECTOR = np.zeros(1, np.float32)


def step(position: int, *, last: bool = False) -> Step:
    return Step(
        position=position,
        token_id=0,
        text="",
        scores=VECTOR,
        statistics=VECTOR,
        peaks=VECTOR,
        decision=Decision.PASS,
        finish_reason="stop" if last else None,
    )


def stream() -> LocalStream:
    return LocalStream(asyncio.get_running_loop(), lambda: None)


def test_steps_come_in_order_and_end_with_the_last() -> None:
    async def consume() -> list[int]:
        own = stream()
        outbox = Outbox()

        def produce() -> None:
            for position in range(5):
                outbox.put(own, step(position, last=position == 4))
                outbox.send()

        thread = threading.Thread(target=produce)
        thread.start()
        positions = [item.position async for item in own]
        thread.join()
        return positions

    assert asyncio.run(asyncio.wait_for(consume(), 10)) == [0, 1, 2, 3, 4]


def test_a_step_of_many_streams_wakes_the_loop_once() -> None:
    async def count_calls() -> int:
        loop, calls = asyncio.get_running_loop(), []
        call = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args: (calls.append(args), call(*args))
        outbox = Outbox()
        streams = [stream() for _ in range(32)]
        for own in streams:
            outbox.put(own, step(0))
        outbox.send()
        await asyncio.gather(*(anext(own) for own in streams))
        return len(calls)

    assert asyncio.run(asyncio.wait_for(count_calls(), 10)) == 1


def test_a_failure_comes_after_the_steps_before_it_and_once() -> None:
    async def consume() -> list[str]:
        own = stream()
        for item in (step(0), EngineFailure("engine_dead", "gone"), step(1)):
            own.receive(item)
        seen = [str((await anext(own)).position)]
        with pytest.raises(EngineFailure) as failure:
            await anext(own)
        with pytest.raises(StopAsyncIteration):
            await anext(own)
        return [*seen, failure.value.code]

    assert asyncio.run(consume()) == ["0", "engine_dead"]


def test_a_cancel_reaches_whoever_waits() -> None:
    async def give_up() -> str:
        cancels: list[int] = []
        own = LocalStream(asyncio.get_running_loop(), lambda: cancels.append(1))
        waiting = asyncio.create_task(anext(own))
        await asyncio.sleep(0)
        own.cancel()
        own.cancel()
        assert own.cancelled
        assert cancels == [1]
        with pytest.raises(EngineFailure) as failure:
            await waiting
        return failure.value.code

    assert asyncio.run(asyncio.wait_for(give_up(), 10)) == "cancelled"


def test_a_wait_that_was_given_up_loses_no_step() -> None:
    """A gate that waits with a time limit asks again afterwards."""

    async def ask_again() -> int:
        own = stream()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(own), 0.01)
        own.receive(step(7))
        return (await anext(own)).position

    assert asyncio.run(ask_again()) == 7


def test_a_closed_loop_is_noticed() -> None:
    async def make() -> LocalStream:
        return stream()

    own = asyncio.run(make())
    outbox = Outbox()
    outbox.put(own, step(0))

    assert not outbox.send()
    assert own.cancelled
