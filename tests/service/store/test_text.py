"""Every Python string survives storage, and ordinary text is stored as it is."""

from __future__ import annotations

import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import Message
from service.store.errors import DamagedRow
from service.store.packing import pack_messages, pack_texts, unpack_messages, unpack_texts
from service.store.text import decode_text, encode_text
from tests.service.store.examples import HARD_TEXTS, patient

any_text = st.text(st.characters()) | st.text(st.sampled_from("\x00\x1a\ud83d\ude00\udfff01ad8\\"))


@patient
@given(any_text)
def test_any_text_comes_back(text: str) -> None:
    assert decode_text(encode_text(text)) == text


@patient
@given(any_text)
def test_what_is_stored_is_what_both_databases_take(text: str) -> None:
    stored = encode_text(text)

    assert "\x00" not in stored
    assert stored.encode("utf-8").decode("utf-8") == stored


@patient
@given(any_text, any_text)
def test_different_texts_are_stored_differently(one: str, other: str) -> None:
    """Two request ids that became one would drop the second one's flag as a repetition."""
    assert (encode_text(one) == encode_text(other)) == (one == other)


@patient
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1a")))
def test_ordinary_text_is_stored_as_it_is(text: str) -> None:
    assert encode_text(text) == text


@pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS)
def test_sqlite_counts_the_stored_characters(text: str) -> None:
    """A raw NUL would end the text for SQL's own functions, such as length() and LIKE."""
    stored = encode_text(text)

    counted = sqlite3.connect(":memory:").execute("SELECT length(?)", (stored,)).fetchone()[0]

    assert counted == len(stored)


@pytest.mark.parametrize("stored", ["\x1a", "\x1a00", "\x1a0041", "\x1aD800", "\x1ae000"])
def test_an_escape_that_was_never_written_is_refused(stored: str) -> None:
    with pytest.raises(DamagedRow, match="cut short"):
        decode_text(stored)


@patient
@given(st.lists(any_text))
def test_any_list_of_texts_comes_back(texts: list[str]) -> None:
    assert unpack_texts(decode_text(encode_text(pack_texts(texts)))) == tuple(texts)


@patient
@given(any_text, any_text)
def test_any_conversation_comes_back(role: str, content: str) -> None:
    messages = (Message(role=role, content=content), Message(role="user", content=content))

    assert unpack_messages(decode_text(encode_text(pack_messages(messages)))) == messages


def test_json_alone_would_join_two_lone_surrogates() -> None:
    """Why the column's own encoding keeps them instead of JSON's escapes."""
    assert json.loads(json.dumps("\ud83d\ude00")) != "\ud83d\ude00"
    assert unpack_texts(pack_texts(["\ud83d\ude00"])) == ("\ud83d\ude00",)
