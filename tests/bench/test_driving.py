"""The driver counts the steps that it looks at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.driving import Driver
from probing.model import LoadedModel
from service.engines.local import LocalEngine
from service.engines.streams import LocalStream
from tests.service.engines.serving import probe_set, prompt


def test_a_window_holds_the_steps_that_were_asked_for(
    tiny: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that lags finds steps waiting: counted as seen, none lay between two looks."""
    loaded = tiny("gpt2")
    real, taken = LocalStream.__anext__, []

    async def late(stream: LocalStream) -> object:
        while len(taken) == 0 and driver.engine.step_stats().steps < 3:
            pass  # the event loop stands still while the engine runs ahead
        taken.append(stream)
        return await real(stream)

    monkeypatch.setattr(LocalStream, "__anext__", late)
    with Driver(LocalEngine(loaded, probe_set(loaded))) as driver:
        window = driver.window([prompt(4)], 1)

    assert window.after.steps > window.before.steps
    assert window.step_ms > 0
