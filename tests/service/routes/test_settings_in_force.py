"""What a client asks and what the operator set, as it reaches the engine and comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from probing.model import LoadedModel
from service.store.review import ReviewStore
from tests.service.routes.test_openai import LONG, TRIPS_AT, events, watched
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import Served, eventually, serving


def scripted(*texts: str) -> ScriptedEngine:
    return ScriptedEngine(steps=script(*texts))


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        ({"temperature": 0.3}, {"temperature": 0.3, "top_p": 1.0}),
        ({"top_p": 0.7}, {"temperature": 1.0, "top_p": 0.7}),
        ({"seed": 11, "stop": ["a", "b"]}, {"seed": 11, "stop": ("a", "b")}),
        ({"max_tokens": 5}, {"tokens_max": 5}),
        ({"max_completion_tokens": 6}, {"tokens_max": 6}),
        ({"max_tokens": 60}, {"tokens_max": 8}),
        ({}, {"tokens_max": 8, "seed": None, "stop": ()}),
    ],
)
def test_a_field_reaches_the_engine(
    store: ReviewStore, asked: dict[str, object], reached: dict[str, object]
) -> None:
    """A field that is dropped in silence gives answers, only other ones."""
    engine = scripted("Yes")
    with serving(engine, store, answer_tokens_max=8) as served:
        assert served.chat(**asked).status_code == 200

    assert {name: getattr(engine.requests[0], name) for name in reached} == reached


def test_immediate_releases_unscored_tokens_and_counts_them(
    tiny: Callable[[str], LoadedModel], store: ReviewStore
) -> None:
    """The exposure is the operator's choice; it must show in the receipt and the metrics."""
    engine = watched(tiny("gpt2"))
    with serving(engine, store, action="halt", release_rule="immediate") as served:
        choice = served.chat(**LONG).json()["choices"][0]
        exposed = served.count("probewatch_tokens_released_unscored_total")

    receipt = choice["probewatch"]
    assert (choice["finish_reason"], receipt["decision"]) == ("content_filter", "halt")
    assert receipt["released_unscored"] == exposed == TRIPS_AT + 1


def test_a_stream_ends_with_finish_moderation_usage_and_done(store: ReviewStore) -> None:
    with serving(scripted("Yes", "."), store) as served:
        response = served.chat(
            stream=True,
            n=2,
            stream_options={"include_usage": True},
            moderation={"model": "probewatch"},
        )

    *chunks, moderation, usage, done = events(response)
    finished = [c for c in chunks if c["choices"] and c["choices"][0]["finish_reason"] == "stop"]
    assert sorted(c["choices"][0]["index"] for c in finished) == [0, 1]
    assert len(moderation["moderation"]["output"]["results"]) == 2
    assert (usage["usage"]["completion_tokens"], done) == (4, "[DONE]")


def test_a_stop_string_in_a_stream_is_not_released(
    tiny: Callable[[str], LoadedModel], store: ReviewStore
) -> None:
    with serving(watched(tiny("gpt2")), store, action="observe") as served:
        text = served.chat(**LONG).json()["choices"][0]["message"]["content"]
        chunks = events(served.chat(stop=text[6:8], stream=True, **LONG))[:-1]

    streamed = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert streamed == text[: text.index(text[6:8])]


def test_a_slow_prompt_holds_up_nobody_elses_flag(store: ReviewStore) -> None:
    """Prompts are tokenized in the threads in which flags are committed."""

    class Slow(ScriptedEngine):
        def render_chat(self, messages):  # type: ignore[no-untyped-def]
            if "slow" in str(messages):
                time.sleep(0.4)
            return super().render_chat(messages)

    engine = Slow(steps=script("Yes", "!", above=1))
    with serving(engine, store, action="flag", store_timeout_seconds=0.3) as served:

        def slow(_: int) -> int:
            return served.chat(messages=[{"role": "user", "content": "slow"}]).status_code

        with ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(slow, range(16)))

    assert codes == [200] * 16


def test_a_fault_behind_the_gate_is_told_in_openais_shape_and_logged(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("Did you water the plants?")

    monkeypatch.setattr("service.replies.Head.whole", broken)
    with serving(scripted("Yes"), store) as served:
        response = served.chat()

    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "KeyError in broken" in caplog.text
    assert "plants" not in caplog.text + json.dumps(response.json())


def test_a_client_that_leaves_ends_an_answer_that_is_not_streamed(store: ReviewStore) -> None:
    engine = ScriptedEngine(steps=script(*"abcdefghijklmnopqrstuvwxyz"), pause_seconds=0.1)
    with serving(engine, store) as served:
        _leave_without_waiting(served)
        ended = eventually(lambda: bool(engine.streams) and engine.streams[0].ended)

    assert ended
    assert engine.streams[0].handed_out < 20


def _leave_without_waiting(served: Served) -> None:
    body = {"model": "scripted", "messages": [{"role": "user", "content": "Well?"}]}
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(f"{served.url}/v1/chat/completions", json=body, timeout=0.4)
