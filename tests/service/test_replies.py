"""Answers in OpenAI's shapes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ledger import Answer, Receipt
from service.replies import Head, moderation

HEAD = Head(id="r", created=1, model="m", fingerprint="f", kind="chat")
RECEIPT = Receipt(probe_set="d", scored=3, released=3, released_unscored=0, decision="pass")
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def answer(peak: float = 0.0, *, tripped: bool = False) -> Answer:
    return Answer(
        finish_reason="stop",
        receipt=RECEIPT,
        tokens=3,
        peaks={"petty": peak},
        tripped={"petty": tripped},
    )


@pytest.mark.parametrize("kind", ["chat", "text"])
@settings(deadline=None)
@given(text=ANY_TEXT)
def test_a_chunk_of_text_is_valid_json_around_any_text(kind: str, text: str) -> None:
    """The frame is made once and filled per token, so nothing else would notice a bad one."""
    before, after = replace(HEAD, kind=kind).text_frame(0)

    chunk = (before + json.dumps(text).encode() + after).decode()

    assert chunk.startswith("data: ")
    assert chunk.endswith("\n\n")
    choice = json.loads(chunk[6:])["choices"][0]
    assert (choice["delta"]["content"] if kind == "chat" else choice["text"]) == text


@pytest.mark.parametrize(("peak", "score"), [(0.0, 0.5), (-math.inf, 0.0), (1e9, 1.0), (-1e9, 0.0)])
def test_a_category_score_lies_between_0_and_1(peak: float, score: float) -> None:
    results = moderation([answer(peak)])["output"]["results"]

    assert results[0]["category_scores"] == {"petty": score}


def test_every_choice_has_its_moderation_result() -> None:
    results = moderation([answer(), answer(3.0, tripped=True)])["output"]["results"]

    assert [result["flagged"] for result in results] == [False, True]


def test_the_request_side_says_that_it_was_not_scored() -> None:
    """An empty result would read as a clean one."""
    assert moderation([answer()])["input"]["type"] == "error"


def test_usage_counts_a_prompt_once() -> None:
    whole = HEAD.whole(10, ["a", "b"], [answer(), answer()])

    assert whole["usage"] == {"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16}
