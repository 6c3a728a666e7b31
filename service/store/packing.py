"""Scores and conversations as single column values.

A flagged answer of a thousand tokens under ten probes would be twenty thousand
rows; it is two byte strings and a JSON list instead. Numbers are little-endian
float32, row by row, so that NumPy reads them anywhere without a header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from service.domain import Message, TokenScore
from service.store.errors import DamagedRow

_SINGLE = np.dtype("<f4")
_DOUBLE = np.dtype("<f8")


def pack_scores(scores: Float[NDArray[np.float32], "tokens probes"]) -> bytes:
    """A matrix of logits, row by row."""
    return np.ascontiguousarray(scores, dtype=_SINGLE).tobytes()


def unpack_scores(packed: bytes, probes: int) -> Float[NDArray[np.float32], "tokens probes"]:
    """The matrix with one column per probe.

    Raises:
        DamagedRow: the bytes are not a whole number of rows.
    """
    if len(packed) % (max(probes, 1) * _SINGLE.itemsize) or (packed and not probes):
        raise DamagedRow("scores", f"{len(packed)} bytes are no whole rows of {probes} probes")
    if not packed:
        return np.zeros((0, probes), dtype=np.float32)
    return np.frombuffer(packed, dtype=_SINGLE).reshape(-1, probes).astype(np.float32)


def pack_peaks(peaks: Mapping[str, float], probes: Sequence[str]) -> bytes:
    """One float64 per probe; NaN where a probe has no peak."""
    return np.array([peaks.get(name, np.nan) for name in probes], dtype=_DOUBLE).tobytes()


def unpack_peaks(packed: bytes, probes: Sequence[str]) -> dict[str, float]:
    """Each probe's peak, without those that have none.

    Raises:
        DamagedRow: there is not one number per probe.
    """
    if len(packed) != len(probes) * _DOUBLE.itemsize:
        raise DamagedRow("peaks", f"{len(packed)} bytes are no {len(probes)} numbers")
    values = np.frombuffer(packed, dtype=_DOUBLE)
    return {name: float(v) for name, v in zip(probes, values, strict=True) if not np.isnan(v)}


def pack_texts(texts: Sequence[str]) -> str:
    r"""A list of texts as JSON.

    Lone surrogates stay characters, for the column's own encoding to keep: JSON's
    escapes would join a lone `\ud83d` and a lone `\ude00` into one smiling face.
    """
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))


def unpack_texts(packed: str) -> tuple[str, ...]:
    """The texts, in order.

    Raises:
        DamagedRow: it is no JSON list of texts.
    """
    texts = _parsed(packed, "a list of texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DamagedRow("a list of texts", "its JSON holds something else")
    return tuple(texts)


def pack_messages(messages: Sequence[Message]) -> str:
    """A conversation as JSON, in the shape of the chat API."""
    turns = [message.as_json() for message in messages]
    return json.dumps(turns, ensure_ascii=False, separators=(",", ":"))


def unpack_messages(packed: str) -> tuple[Message, ...]:
    """The conversation.

    Raises:
        DamagedRow: it is no JSON list of messages.
    """
    turns = _parsed(packed, "a conversation")
    if not isinstance(turns, list):
        raise DamagedRow("a conversation", "its JSON holds something else")
    try:
        return tuple(Message(role=turn["role"], content=turn["content"]) for turn in turns)
    except (TypeError, KeyError):
        raise DamagedRow("a conversation", "its JSON holds something else") from None


def pack_tokens(tokens: Sequence[TokenScore], probes: int) -> dict[str, bytes | str]:
    """Token scores as the values of the four columns that hold them.

    Raises:
        ValueError: a token has not one score and one statistic per probe.
    """
    widths = {len(numbers) for token in tokens for numbers in (token.scores, token.statistics)}
    if widths - {probes}:
        raise ValueError(f"expected {probes} numbers per token, found {sorted(widths)}")
    return {
        "token_texts": pack_texts([token.text for token in tokens]),
        "token_positions": np.array([t.position for t in tokens], dtype="<i4").tobytes(),
        "token_scores": np.array([t.scores for t in tokens], dtype=_SINGLE).tobytes(),
        "token_statistics": np.array([t.statistics for t in tokens], dtype=_SINGLE).tobytes(),
    }


def unpack_tokens(
    texts: str, positions: bytes, scores: bytes, statistics: bytes, probes: int
) -> tuple[TokenScore, ...]:
    """The token scores, in order.

    Raises:
        DamagedRow: the four columns do not hold equally many tokens.
    """
    if len(positions) % 4:
        raise DamagedRow("token positions", f"{len(positions)} bytes are no whole numbers")
    columns = (
        np.frombuffer(positions, dtype="<i4").tolist(),
        unpack_texts(texts),
        unpack_scores(scores, probes).tolist(),
        unpack_scores(statistics, probes).tolist(),
    )
    if len({len(column) for column in columns}) != 1:
        raise DamagedRow("token scores", "its columns hold different numbers of tokens")
    return tuple(
        TokenScore(position=position, text=text, scores=tuple(row), statistics=tuple(running))
        for position, text, row, running in zip(*columns, strict=True)
    )


def _parsed(packed: str, what: str) -> Any:
    try:
        return json.loads(packed)
    except ValueError:
        raise DamagedRow(what, "it is no JSON") from None
