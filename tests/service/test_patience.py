"""Patience: breaks off what is too long, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from service.patience import Patience


def test_a_wait_that_is_too_long_is_broken_off() -> None:
    async def wait() -> float:
        began = asyncio.get_running_loop().time()
        with Patience(0.05) as patience, pytest.raises(TimeoutError):
            await patience.wait(asyncio.sleep(10))
        return asyncio.get_running_loop().time() - began

    assert 0.05 <= asyncio.run(wait()) < 5


def test_many_short_waits_may_last_longer_together() -> None:
    async def wait() -> list[int]:
        with Patience(0.2) as patience:
            return [await patience.wait(asyncio.sleep(0.05, n)) for n in range(8)]

    assert asyncio.run(wait()) == list(range(8))


def test_time_between_two_waits_does_not_count() -> None:
    """A slow client or a slow commit is no hanging engine."""

    async def wait() -> str:
        with Patience(0.1) as patience:
            await asyncio.sleep(0.3)
            return await patience.wait(asyncio.sleep(0.01, "came"))

    assert asyncio.run(wait()) == "came"


def test_one_may_wait_again_after_a_wait_was_broken_off() -> None:
    async def wait() -> str:
        with Patience(0.05) as patience:
            with pytest.raises(TimeoutError):
                await patience.wait(asyncio.sleep(10))
            return await patience.wait(asyncio.sleep(0, "came"))

    assert asyncio.run(wait()) == "came"


def test_a_wait_can_be_broken_off_before_its_time() -> None:
    async def wait() -> float:
        began = asyncio.get_running_loop().time()
        with Patience(10) as patience:
            asyncio.get_running_loop().call_later(0.01, patience.break_off)
            with pytest.raises(TimeoutError):
                await patience.wait(asyncio.sleep(10))
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(wait()) < 5


def test_what_is_waited_for_may_break_off_and_still_end_well() -> None:
    """A cancellation left pending would strike the next thing that is awaited: the record."""

    async def wait() -> str:
        with Patience(10) as patience:

            async def awaited() -> str:
                patience.break_off()
                return "came"

            came = await patience.wait(awaited())
            await asyncio.sleep(0)
            return came

    assert asyncio.run(wait()) == "came"


def test_breaking_off_where_nothing_waits_does_nothing() -> None:
    async def wait() -> str:
        with Patience(10) as patience:
            patience.break_off()
            return await patience.wait(asyncio.sleep(0, "came"))

    assert asyncio.run(wait()) == "came"


def test_a_cancellation_from_outside_stays_one() -> None:
    async def waiting() -> None:
        with Patience(10) as patience:
            await patience.wait(asyncio.sleep(10))

    async def cancel() -> bool:
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancel())
