"""Scores come back bit for bit, and damage is told from data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.domain import TokenScore
from service.store.errors import DamagedRow
from service.store.packing import (
    pack_peaks,
    pack_scores,
    pack_tokens,
    unpack_messages,
    unpack_peaks,
    unpack_scores,
    unpack_texts,
    unpack_tokens,
)
from tests.service.store.examples import patient

float32 = st.floats(width=32, allow_nan=False)
pairs = st.tuples(float32, float32)
tokens = st.builds(
    TokenScore, position=st.integers(0, 2**31 - 1), text=st.text(), scores=pairs, statistics=pairs
)


@patient
@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 9), st.integers(1, 5))))
def test_any_scores_come_back_bit_for_bit(scores: np.ndarray) -> None:
    back = unpack_scores(pack_scores(scores), scores.shape[1])

    assert back.shape == scores.shape
    assert back.tobytes() == scores.tobytes()


def test_a_request_without_probes_has_no_scores() -> None:
    assert unpack_scores(b"", 0).shape == (0, 0)


@patient
@given(st.lists(tokens))
def test_any_tokens_come_back(given_tokens: list[TokenScore]) -> None:
    packed = pack_tokens(given_tokens, 2)

    back = unpack_tokens(
        packed["token_texts"],
        packed["token_positions"],
        packed["token_scores"],
        packed["token_statistics"],
        2,
    )
    assert back == tuple(given_tokens)


def test_a_token_with_a_score_too_few_is_refused() -> None:
    short = TokenScore(position=0, text="", scores=(1.0,), statistics=(1.0, 2.0))

    with pytest.raises(ValueError, match="expected 2 numbers per token"):
        pack_tokens([short], 2)


def test_peaks_keep_minus_infinity_apart_from_none_at_all() -> None:
    peaks = {"a": float("-inf"), "c": 1.5}

    assert unpack_peaks(pack_peaks(peaks, "abc"), "abc") == peaks


@pytest.mark.parametrize("packed", [b"123", b"12345678"])
def test_bytes_that_are_no_whole_rows_are_refused(packed: bytes) -> None:
    with pytest.raises(DamagedRow, match="no whole rows"):
        unpack_scores(packed, 3)


@pytest.mark.parametrize(
    ("texts", "positions"), [('["a"]', b"\0" * 8), ('["a"]', b"\0" * 3), ("[]", b"\0" * 4)]
)
def test_columns_that_disagree_are_refused(texts: str, positions: bytes) -> None:
    with pytest.raises(DamagedRow):
        unpack_tokens(texts, positions, b"\0" * 4, b"\0" * 4, 1)


@pytest.mark.parametrize("packed", ["", "{", "{}", "[1]", "null"])
def test_json_of_another_kind_is_refused(packed: str) -> None:
    with pytest.raises(DamagedRow):
        unpack_texts(packed)
    with pytest.raises(DamagedRow):
        unpack_messages(packed)


def test_peaks_of_another_length_are_refused() -> None:
    with pytest.raises(DamagedRow, match="no 2 numbers"):
        unpack_peaks(b"\0" * 8, "ab")
