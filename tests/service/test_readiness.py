"""Readiness: red for every reason, and green again."""

from __future__ import annotations

import pytest

from service.readiness import Readiness
from service.reasons import Unscored
from tests.service.scripted import ScriptedEngine, ScriptedStream


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ready(engine: ScriptedEngine, clock: Clock) -> Readiness:
    return Readiness(engine, step_timeout_seconds=5, unready_seconds=30, clock=clock)


def test_a_failure_is_red_until_time_has_passed(clock: Clock) -> None:
    """An instance out of rotation would never get the request that proves it sound."""
    readiness = ready(ScriptedEngine(), clock)
    readiness.failed(Unscored.MONITOR_ERROR)

    assert readiness.reasons() == ["monitor_error"]
    clock.seconds += 31
    assert readiness.reasons() == []


@pytest.mark.parametrize("reason", [r for r in Unscored if not r.is_failure])
def test_what_is_nobodys_failure_is_not_red(clock: Clock, reason: Unscored) -> None:
    readiness = ready(ScriptedEngine(), clock)

    readiness.failed(reason)

    assert readiness.reasons() == []


def test_a_dead_engine_is_red_without_any_request(clock: Clock) -> None:
    assert ready(ScriptedEngine(alive=False), clock).reasons() == ["engine_dead"]


def test_an_engine_whose_step_hangs_is_red_without_any_failure(clock: Clock) -> None:
    engine = ScriptedEngine(hang=True)
    engine.streams.append(ScriptedStream(engine, None))  # type: ignore[arg-type]

    assert ready(engine, clock).reasons() == ["step_timeout"]


def test_draining_is_red(clock: Clock) -> None:
    readiness = ready(ScriptedEngine(), clock)

    readiness.draining = True

    assert readiness.reasons() == ["shutdown"]
