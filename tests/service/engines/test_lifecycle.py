"""The engine under load, when told to stop, and when something breaks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from probing.model import LoadedModel
from service.engines.local import LocalEngine
from service.engines.protocol import EngineFailure, QueueFull, Step
from service.engines.scheduler import Limits
from tests.service.engines.serving import answer_all, ask, collect, prompt, running

Tiny = Callable[[str], LoadedModel]


def test_a_full_queue_says_when_to_come_back(tiny: Tiny) -> None:
    async def crowd(engine: LocalEngine) -> QueueFull:
        try:
            for _ in range(40):
                engine.submit(ask(prompt(5), 200))
        except QueueFull as refusal:
            return refusal
        raise AssertionError("forty requests were taken")

    with running(tiny("gpt2"), limits=Limits(rows_max=1, waiting_max=3)) as engine:
        refusal = asyncio.run(crowd(engine))

    assert 1 <= refusal.retry_after_seconds <= 60


def test_cancelling_ends_a_stream_and_frees_its_row(tiny: Tiny) -> None:
    async def give_up(engine: LocalEngine) -> None:
        stream = engine.submit(ask(prompt(5), 200))
        await anext(stream)
        stream.cancel()
        stream.cancel()
        with pytest.raises(EngineFailure, match="cancelled"):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        while engine.health().running:
            await asyncio.sleep(0.005)

    with running(tiny("gpt2"), limits=Limits(rows_max=1)) as engine:
        asyncio.run(asyncio.wait_for(give_up(engine), 20))
        assert engine.step_stats().cache_bytes == 0
        assert len(answer_all(engine, ask(prompt(5), 3))[0]) == 3


def test_a_stream_whose_event_loop_is_gone_frees_its_row(tiny: Tiny) -> None:
    async def leave(engine: LocalEngine) -> None:
        engine.submit(ask(prompt(5), 240))

    with running(tiny("gpt2"), limits=Limits(rows_max=1)) as engine:
        asyncio.run(leave(engine))
        (steps,) = answer_all(engine, ask(prompt(5), 3))

    assert len(steps) == 3


def test_draining_finishes_what_runs_and_takes_no_more(tiny: Tiny) -> None:
    async def shut_down(engine: LocalEngine) -> list[list[Step]]:
        tasks = [asyncio.create_task(collect(engine, ask(prompt(n), 30))) for n in (4, 9, 20)]
        await asyncio.sleep(0)
        draining = asyncio.create_task(engine.drain(30))
        await asyncio.sleep(0)
        with pytest.raises(EngineFailure, match="draining"):
            engine.submit(ask(prompt(5)))
        await draining
        return await asyncio.gather(*tasks)

    with running(tiny("gpt2"), limits=Limits(rows_max=2)) as engine:
        answers = asyncio.run(shut_down(engine))

    assert [len(steps) for steps in answers] == [30, 30, 30]


def test_a_drain_that_takes_too_long_fails_the_rest(tiny: Tiny) -> None:
    async def shut_down(engine: LocalEngine) -> str:
        stream = engine.submit(ask(prompt(4), 240))
        await anext(stream)
        await engine.drain(0)
        with pytest.raises(EngineFailure) as failure:
            async for _ in stream:
                pass
        return failure.value.code

    with running(tiny("gpt2")) as engine:
        assert asyncio.run(shut_down(engine)) == "draining"
        assert not engine.health().alive


def test_closing_fails_what_runs_and_is_done_at_once(tiny: Tiny) -> None:
    async def pull_the_plug(engine: LocalEngine) -> str:
        stream = engine.submit(ask(prompt(4), 240))
        await anext(stream)
        engine.close()
        with pytest.raises(EngineFailure) as failure:
            async for _ in stream:
                pass
        return failure.value.code

    with running(tiny("gpt2")) as engine:
        assert asyncio.run(pull_the_plug(engine)) == "engine_dead"
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < 1
        with pytest.raises(EngineFailure, match="closed"):
            answer_all(engine, ask(prompt(4)))


def test_a_hook_that_stops_firing_kills_the_engine_loudly(
    tiny: Tiny, caplog: pytest.LogCaptureFixture
) -> None:
    """A site that gives nothing is no zero: nothing may come out of such a model any more."""

    async def unhook(engine: LocalEngine) -> list[str]:
        streams = [engine.submit(ask(prompt(n), 240)) for n in (4, 9)]
        for stream in streams:
            await anext(stream)
        engine._reader._handles[0].remove()
        codes = []
        for stream in streams:
            with pytest.raises(EngineFailure) as failure:
                async for _ in stream:
                    pass
            codes.append(failure.value.code)
        with pytest.raises(EngineFailure):
            engine.submit(ask(prompt(4)))
        return codes

    with running(tiny("gpt2")) as engine:
        assert asyncio.run(unhook(engine)) == ["engine_dead"] * 2
        health = engine.health()

    assert not health.alive
    assert "SiteDidNotFire" in str(health.reason)
    assert "the engine died" in caplog.text


def test_health_ages_while_a_step_hangs(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    async def hang(engine: LocalEngine) -> float:
        beat = engine._stepper.beat
        monkeypatch.setattr(engine._stepper, "beat", lambda: (go_on.wait(10), beat()))
        engine.submit(ask(prompt(4), 2))
        await asyncio.sleep(1.0)
        health = engine.health()
        assert health.alive
        go_on.set()
        return health.last_step_age_seconds

    with running(tiny("gpt2")) as engine:
        assert engine.health().last_step_age_seconds == 0
        assert asyncio.run(hang(engine)) > 0.2
