"""Tasks that outlive the connection they began for."""

from __future__ import annotations

import asyncio

from service.reasons import Unscored
from service.supervisor import Supervisor


class Work:
    """Ends when it is cancelled, after putting that on record."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()
        self.recorded: Unscored | None = None
        self.reason: Unscored | None = None

    def cancel(self, reason: Unscored) -> None:
        self.reason = reason
        self.cut.set()

    async def run(self) -> None:
        await self.cut.wait()
        await asyncio.sleep(0.02)
        self.recorded = self.reason


def test_what_outlasts_the_drain_is_cut_and_still_puts_itself_on_record() -> None:
    async def drain() -> tuple[Work, Supervisor]:
        supervisor, work = Supervisor(), Work()
        supervisor.start(work.run(), (work,))
        await supervisor.drain(0.05)
        return work, supervisor

    work, supervisor = asyncio.run(drain())

    assert work.recorded is Unscored.SHUTDOWN
    assert supervisor.running == 0


def test_what_ends_in_time_is_not_cut() -> None:
    async def drain() -> Work:
        supervisor, work = Supervisor(), Work()
        supervisor.start(asyncio.sleep(0.02), (work,))
        await supervisor.drain(5)
        return work

    assert asyncio.run(drain()).reason is None


def test_a_task_lives_on_when_whoever_started_it_is_torn_down() -> None:
    async def tear_down() -> bool:
        supervisor, done = Supervisor(), asyncio.Event()

        async def work() -> None:
            await asyncio.sleep(0.02)
            done.set()

        async def connection() -> None:
            await asyncio.wait({supervisor.start(work(), ())})

        torn = asyncio.create_task(connection())
        await asyncio.sleep(0)
        torn.cancel()
        await asyncio.wait_for(done.wait(), 5)
        return torn.cancelled()

    assert asyncio.run(tear_down())
