"""OpenAI's routes over real HTTP, in front of the real engine on a tiny model.

Only what a real engine cannot be made to do on cue runs on the scripted one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import pytest

from probing.model import LoadedModel
from probing.probe import ProbeSet
from service.engines.local import LocalEngine
from service.engines.protocol import EngineFailure
from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.probing.examples import probe
from tests.service.scripted import ScriptedEngine, script
from tests.service.serving import MESSAGE, Served, eventually, serving

TRIPS_AT = 3
"""The probe of `live` crosses its threshold at this token of every answer."""
LONG = {"temperature": 0, "max_tokens": 200}
SHORT = {"temperature": 0, "max_tokens": 4}
"""Without chance: a drawn end token would end an answer before it has trod the path tested."""


def watched(loaded: LoadedModel) -> LocalEngine:
    always = probe(threshold=-1e9, tokens_min=TRIPS_AT + 1, fingerprint=loaded.spec.fingerprint)
    return LocalEngine(loaded, ProbeSet((always,)), model_name="tiny")


@pytest.fixture(scope="module")
def live(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[Served]:
    """The real engine under policy observe."""
    path = tmp_path_factory.mktemp("live") / "review.db"
    shutil.copy(migrated, path)
    with (
        open_store(f"sqlite:///{path}") as store,
        serving(watched(tiny("gpt2")), store, action="observe") as served,
    ):
        yield served


@pytest.fixture(scope="module")
def client(live: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0)


def events(response: httpx2.Response) -> list[dict[str, object] | str]:
    """The data of a stream's events."""
    data = [line[6:] for line in response.text.split("\n\n") if line]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def test_the_official_client_streams_a_chat_as_it_reads_one_whole(client: openai.OpenAI) -> None:
    asked = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Tell me."}],
        "max_tokens": 24,
        "seed": 5,
    }

    chunks = list(client.chat.completions.create(stream=True, **asked))
    whole = client.chat.completions.create(**asked)

    streamed = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert streamed == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices[0].probewatch == whole.choices[0].probewatch
    assert whole.choices[0].probewatch["released"] == whole.usage.completion_tokens


def test_the_official_client_lists_the_one_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "probewatch"
    with pytest.raises(openai.NotFoundError, match="this service has 'tiny'"):
        client.models.retrieve("large")


def test_the_official_client_completes_a_raw_prompt(client: openai.OpenAI) -> None:
    done = client.completions.create(model="tiny", prompt="Once", temperature=0)

    assert done.usage.completion_tokens <= 16
    assert done.choices[0].probewatch["released_unscored"] == 0


def test_a_client_may_ask_for_crossings_to_block(live: Served, client: openai.OpenAI) -> None:
    policy = {"output": {"mode": "block"}}

    answer = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Where is it?"}],
        moderation={"model": "probewatch", "policy": policy},
        **LONG,
    )

    choice, output = answer.choices[0], answer.moderation.output
    assert choice.finish_reason == "content_filter"
    assert choice.probewatch["released"] == TRIPS_AT
    assert (output.results[0].flagged, output.results[0].categories) == (True, {"petty": True})
    assert 0 <= output.results[0].category_scores["petty"] <= 1
    assert live.store.cases().cases[0].request_id == answer.id


def test_a_client_may_not_ask_for_less_than_the_operator_does(
    tiny: Callable[[str], LoadedModel], store: ReviewStore
) -> None:
    with serving(watched(tiny("gpt2")), store, action="halt") as served:
        moderation = {"model": "probewatch", "policy": {"output": {"mode": "score"}}}

        answer = served.chat(moderation=moderation, **LONG).json()

    assert answer["choices"][0]["finish_reason"] == "content_filter"


def test_each_choice_has_its_own_text_receipt_and_record(live: Served) -> None:
    answer = live.chat(n=3, seed=1, max_tokens=12).json()

    texts = {choice["message"]["content"] for choice in answer["choices"]}
    assert len(texts) == 3
    for index, choice in enumerate(answer["choices"]):
        suffix = f"-{index}" if index else ""
        record = live.client.get(f"/v1/monitor/requests/{answer['id']}{suffix}").json()
        assert record["tokens_scored"] == choice["probewatch"]["scored"] == len(record["scores"])
    total = sum(choice["probewatch"]["scored"] for choice in answer["choices"])
    assert answer["usage"]["completion_tokens"] == total


def test_streamed_choices_keep_their_indices(live: Served) -> None:
    whole = live.chat(n=2, seed=1, max_tokens=12).json()

    chunks = events(live.chat(n=2, seed=1, max_tokens=12, stream=True))[:-1]

    for index in range(2):
        parts = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == index]
        text = "".join(part["delta"].get("content", "") for part in parts)
        assert text == whole["choices"][index]["message"]["content"]


def test_answers_that_run_together_are_those_that_run_alone(live: Served) -> None:
    """A row mapped to the wrong request would show here as another's text."""
    seeds = range(8)

    def text(seed: int) -> str:
        return str(live.chat(seed=seed, max_tokens=16).json()["choices"][0]["message"]["content"])

    alone = [text(seed) for seed in seeds]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(text, seeds))

    assert together == alone


def test_a_stop_string_ends_the_answer_and_is_not_released(live: Served) -> None:
    text = live.chat(**LONG).json()["choices"][0]["message"]["content"]
    stop = text[6:8]

    stopped = live.chat(stop=stop, **LONG).json()["choices"][0]

    assert stopped["message"]["content"] == text[: text.index(stop)]
    assert stopped["finish_reason"] == "stop"


def test_a_stream_ends_with_usage_where_it_was_asked_for(live: Served) -> None:
    response = live.chat(stream=True, stream_options={"include_usage": True}, **SHORT)

    *chunks, last, done = events(response)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["completion_tokens"], done) == ([], 4, "[DONE]")


def test_a_client_that_leaves_ends_its_answer_within_two_tokens(store: ReviewStore) -> None:
    """On the scripted engine, whose tokens come slowly enough to be counted."""
    engine = ScriptedEngine(steps=script(*"abcdefghijklmnopqrstuvwxyz"), pause_seconds=0.2)
    with serving(engine, store) as served:
        request_id = leave_after_the_first_text(served, "scripted")
        at_departure = engine.streams[0].handed_out
        record = eventually(lambda: store.request(request_id))

    assert engine.streams[0].handed_out <= at_departure + 2
    assert (record.outcome, record.reason) == ("unscored", "client_disconnected")


def test_a_client_that_leaves_frees_its_row_of_the_real_engine(live: Served) -> None:
    request_id = leave_after_the_first_text(live, "tiny")
    record = eventually(lambda: live.store.request(request_id))

    assert record.reason == "client_disconnected"
    assert eventually(lambda: live.engine.health().running == 0), "by the next step, not at once"
    assert record.tokens_scored < LONG["max_tokens"]


def leave_after_the_first_text(served: Served, model: str) -> str:
    """Begin a stream and close the connection; returns the request's id."""
    body = {"model": model, "messages": [MESSAGE], "stream": True, **LONG}
    url = f"{served.url}/v1/chat/completions"
    with httpx2.stream("POST", url, json=body, timeout=20) as response:
        next(response.iter_bytes())
        return str(response.headers["x-request-id"])


@pytest.mark.parametrize("text", ["\ud800", "nul \0 here", "e\u0301 \U0001f9ff"])
def test_odd_but_legal_text_is_answered_and_kept_as_it_came(live: Served, text: str) -> None:
    """One such character in a prompt must not make a flag vanish."""
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": text}],
        **SHORT,
        "moderation": {"model": "probewatch", "policy": {"output": {"mode": "block"}}},
    }

    response = live.client.post(
        "/v1/chat/completions",
        content=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )

    case_id = live.store.cases().cases[0].id
    case = live.client.get(f"/v1/monitor/cases/{case_id}").json()
    assert response.status_code == 200
    assert case["request_id"] == response.json()["id"]
    assert case["messages"] == [{"role": "user", "content": text}]


BAD_BODIES = {
    "not JSON": (b'{"model": ', 400, "invalid_json"),
    "not UTF-8": (b'{"model": "\xff"}', 400, "invalid_utf8"),
    "no object": (b"[]", 400, "invalid_json"),
    "NaN": (b'{"temperature": NaN}', 400, "invalid_json"),
    "too deep": (b'{"a":' + b"[" * 100_000, 400, "invalid_json"),
    "too long a number": (b'{"a": ' + b"9" * 10_000 + b"}", 400, "invalid_json"),
    "too large": (b" " * 5_000_000, 413, "body_too_large"),
}


@pytest.mark.parametrize(("body", "status", "code"), BAD_BODIES.values(), ids=list(BAD_BODIES))
def test_a_malformed_body_is_refused_in_openais_shape(
    live: Served, body: bytes, status: int, code: str
) -> None:
    response = live.client.post(
        "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}


BAD_FIELDS = {
    "unknown": ({"temprature": 1}, None, "unsupported_parameter"),
    "tools": ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
    "logprobs": ({"logprobs": True}, "logprobs", "unsupported_parameter"),
    "hot": ({"temperature": 3}, "temperature", "invalid_value"),
    "text for a number": ({"top_p": "0.5"}, "top_p", "invalid_value"),
    "no tokens": ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    "empty stop": ({"stop": ""}, "stop[0]", "invalid_value"),
    "many choices": ({"n": 9}, "n", "invalid_value"),
    "no messages": ({"messages": []}, "messages", "invalid_value"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content",
        "invalid_value",
    ),
    "a tool's turn": (
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages[0].role",
        "invalid_value",
    ),
    "too long": ({"messages": [{"role": "user", "content": "x" * 999}]}, None, "prompt_too_long"),
    "another moderator": ({"moderation": {"model": "omni"}}, "moderation.model", "invalid_value"),
    "blocking input": (
        {"moderation": {"model": "probewatch", "policy": {"input": {"mode": "block"}}}},
        "moderation.policy.input",
        "unsupported_parameter",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "code"), BAD_FIELDS.values(), ids=list(BAD_FIELDS))
def test_what_cannot_be_honoured_is_refused_by_name(
    live: Served, fields: dict[str, object], param: str | None, code: str
) -> None:
    """A field that is dropped in silence is one that a client relies on in vain."""
    response = live.chat(**fields)

    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, code)


def test_a_prompt_that_is_too_long_is_told_both_numbers(live: Served) -> None:
    message = live.chat(messages=[{"role": "user", "content": "x" * 999}]).json()["error"]

    assert "256" in message["message"]
    assert "xxx" not in message["message"]


def test_fields_that_ask_for_nothing_are_let_through(live: Served) -> None:
    response = live.chat(
        user="somebody", tools=[], logprobs=False, presence_penalty=0, n=None, max_tokens=2
    )

    assert response.status_code == 200


def test_an_answer_can_be_sent_back_as_the_client_has_it(
    live: Served, client: openai.OpenAI
) -> None:
    """Clients dump a message with its nulls and append it to the conversation."""
    said = {"role": "assistant", "content": "Yes.", "refusal": None, "tool_calls": None}

    response = live.chat(
        messages=[{"role": "user", "content": "Well?"}, said, {"role": "user", "content": "So?"}],
        max_tokens=2,
    )

    assert response.status_code == 200


def test_an_unknown_model_is_told_which_one_there_is(live: Served) -> None:
    response = live.chat(model="gpt-large")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "tiny" in response.json()["error"]["message"]


def test_a_form_from_a_web_page_is_no_request(live: Served) -> None:
    """Without a key a page in the operator's browser could otherwise ask unseen."""
    response = live.client.post("/v1/chat/completions", data={"model": "tiny"})

    assert response.status_code == 415


def test_a_full_queue_says_when_to_come_back(store: ReviewStore) -> None:
    with serving(ScriptedEngine(full=True), store) as served:
        response = served.chat()

        assert response.status_code == 429
        assert response.headers["retry-after"] == "3"
        assert response.json()["error"]["type"] == "rate_limit_error"
        assert served.count("probewatch_requests_refused_total", code="queue_full") == 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_before_the_first_text_is_a_503_with_its_reason(
    store: ReviewStore, stream: bool
) -> None:
    engine = ScriptedEngine(steps=[EngineFailure("monitor_error", "a probe raised")])
    with serving(engine, store) as served:
        response = served.chat(stream=stream)
        ready = served.client.get("/readyz")

    assert (response.status_code, response.json()["error"]["code"]) == (503, "monitor_error")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["monitor_error"])


def test_a_failure_mid_stream_is_an_error_event_and_then_done(store: ReviewStore) -> None:
    steps = [script("Yes", ",")[0], EngineFailure("engine_dead", "gone")]
    with serving(ScriptedEngine(steps=steps), store) as served:
        chunks = events(served.chat(stream=True))
        client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.APIError, match="withheld"):
            list(client.chat.completions.create(model="scripted", messages=[MESSAGE], stream=True))

    assert chunks[-2]["error"]["code"] == "engine_dead"
    assert chunks[-1] == "[DONE]"


def test_a_failed_choice_ends_its_siblings(store: ReviewStore) -> None:
    class OneFails(ScriptedEngine):
        def submit(self, request):  # type: ignore[no-untyped-def]
            stream = super().submit(request)
            if request.id.endswith("-1"):
                stream._left = [EngineFailure("monitor_error", "a probe raised")]
            return stream

    with serving(OneFails(steps=script("a", "b", "c"), pause_seconds=0.05), store) as served:
        response = served.chat(n=3)
        ended = {"route": "/v1/chat/completions", "outcome": "unscored"}
        siblings = {**ended, "reason": "sibling_failed"}
        assert eventually(lambda: served.count("probewatch_answers_total", **siblings) == 2)

    assert response.json()["error"]["code"] == "monitor_error"
