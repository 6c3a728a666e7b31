"""What a request may look like, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.refusals import Refusal
from service.wire import ChatRequest, CompletionRequest, parse_json, read_as

USER = {"role": "user", "content": "hello"}
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def chat(**fields: Any) -> ChatRequest:
    return read_as(ChatRequest, {"model": "m", "messages": [USER], **fields})


@settings(deadline=None)
@given(ANY_TEXT)
def test_any_python_text_comes_through_unchanged(text: str) -> None:
    """Lone surrogates and NUL are legal in JSON, and drivers and encoders stumble over them."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()

    assert read_as(ChatRequest, parse_json(body)).messages[0].content == text


def test_parts_of_text_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert chat(messages=[{"role": "user", "content": parts}]).messages[0].content == "ab"


def test_developer_is_rendered_as_system() -> None:
    message = chat(messages=[{"role": "developer", "content": "Be brief."}]).messages[0]

    assert message.as_domain().role == "system"


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 5),
    ],
)
def test_both_words_for_the_limit_are_understood(fields: dict[str, int], most: int | None) -> None:
    assert chat(**fields).answer_tokens == most


def test_a_raw_completion_has_sixteen_tokens_unless_it_asks() -> None:
    assert read_as(CompletionRequest, {"model": "m", "prompt": "p"}).answer_tokens == 16


def test_one_stop_string_is_a_list_of_one() -> None:
    assert chat(stop="END").stop == ["END"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{**USER, "name": "bob"}]}, "messages[0].name"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"n": True}, "n"),
        ({"seed": 2**63}, "seed"),
        ({"stream_options": {"include_all": True}}, "stream_options"),
        ({"moderation": {"model": "probewatch", "policy": {"output": {"mode": "off"}}}},
         "moderation.policy.output.mode"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)  # fmt: skip
def test_the_refusal_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refusal) as refusal:
        chat(**fields)

    assert (refusal.value.status, refusal.value.param) == (400, param)


def test_the_refusal_never_quotes_the_value() -> None:
    secret = "my diagnosis"
    bad = [{"role": secret, "content": secret}, {"role": "user", "content": 7}, secret]

    for message in bad:
        with pytest.raises(Refusal) as refusal:
            chat(messages=[message], stop=7, seed=secret)
        assert secret not in refusal.value.message


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"my diagnosis": 1}, None, "field 3 of the body"),
        ({"messages": [{**USER, "my diagnosis": 1}]}, "messages[0]", "field 3 of messages[0]"),
        ({"": 1}, None, "field 3 of the body"),
        ({"tools": [1], "my diagnosis": 1}, "tools", "tools is not supported"),
    ],
)
def test_a_name_that_nobody_knows_is_told_by_its_place(
    fields: dict[str, Any], param: str | None, told: str
) -> None:
    """A client that builds its JSON wrongly puts private text where names belong."""
    with pytest.raises(Refusal) as refusal:
        chat(**fields)

    assert (refusal.value.param, refusal.value.code) == (param, "unsupported_parameter")
    assert told in refusal.value.message
    assert "diagnosis" not in refusal.value.message


def test_a_name_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(Refusal, match=r"a name in the body: .* valid string") as refusal:
        chat(**{"\ud800": 1})

    assert (refusal.value.status, refusal.value.param) == (400, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("logprobs", 0), ("parallel_tool_calls", 1), ("best_of", True), ("top_logprobs", False)],
)
def test_zero_is_not_false_and_one_is_not_true(name: str, value: object) -> None:
    """`logprobs: 0` asks a completion for the log probability of each token it got."""
    with pytest.raises(Refusal) as refusal:
        read_as(CompletionRequest, {"model": "m", "prompt": "p", name: value})

    assert (refusal.value.param, refusal.value.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "value"),
    [("logprobs", False), ("presence_penalty", 0.0), ("best_of", 1), ("tools", [])],
)
def test_what_asks_for_nothing_is_let_through(name: str, value: object) -> None:
    asked = read_as(CompletionRequest, {"model": "m", "prompt": "p", name: value})

    assert asked.prompt == "p"


def test_null_is_no_choice() -> None:
    assert chat(temperature=None, tools=None, logit_bias=None, stop=None).temperature is None
