"""Token ids to text as they come, and stop strings that must not show.

A character may span several tokens: nothing comes out until it is whole. A text
that may be the beginning of a stop string is held until it is known. Each token
costs its own length, however long the answer is. This module imports no torch.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer as Tokenizers
from tokenizers import pre_tokenizers

from probing.prompt import Tokenizer

_WINDOW_MAX = 16
"""Tokens that a `Window` waits for a whole character before it gives out what there is."""


class Decoder(Protocol):
    """Text of one stream."""

    def push(self, token_id: int) -> str:
        """What becomes readable with this token; special tokens have no text."""
        ...

    def flush(self) -> str:
        """What is left of an unfinished character, as U+FFFD."""
        ...


class Detokenizer:
    """Makes decoders for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._skipped = frozenset(tokenizer.all_special_ids)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._pieces = None if backend is None else _byte_pieces(backend, self._skipped)
        self._decode: Callable[[list[int]], str] = tokenizer.decode
        if backend is not None:
            # A copy of its own: one shared between threads fails with "already borrowed".
            self._decode = Tokenizers.from_str(backend.to_str()).decode

    def decoder(self) -> Decoder:
        """For a new stream."""
        if self._pieces is not None:
            return Bytes(self._pieces)
        return Window(self._decode, self._skipped)


class Bytes:
    """For byte-level tokenizers: every token is some bytes, and bytes are UTF-8."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        if token_id >= len(self._pieces):  # a vocabulary padded beyond its tokenizer
            return ""
        return self._utf8.decode(self._pieces[token_id])

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)


class Window:
    """For any other tokenizer: decode the newest tokens behind a few that are already out.

    Those give the context that decides about spaces; what they decode to is cut off again.
    """

    def __init__(self, decode: Callable[[list[int]], str], skipped: frozenset[int]) -> None:
        self._decode = decode
        self._skipped = skipped
        self._context: list[int] = []
        self._context_text = ""
        self._new: list[int] = []

    def push(self, token_id: int) -> str:
        if token_id in self._skipped:
            return ""
        self._new.append(token_id)
        text = self._decode(self._context + self._new)
        if text.endswith("\N{REPLACEMENT CHARACTER}") and len(self._new) < _WINDOW_MAX:
            return ""
        return self._release(text)

    def flush(self) -> str:
        return self._release(self._decode(self._context + self._new))

    def _release(self, text: str) -> str:
        released = text[len(self._context_text) :]
        self._context, self._new = self._new or self._context, []
        self._context_text = self._decode(self._context)
        return released


class StopFilter:
    """Holds back what may become a stop string, and finds the first that is complete."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._fallbacks = [_fallbacks(stop) for stop in stops]
        self._matched = [0] * len(self._stops)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take in new text.

        Returns:
            What may be released now, and whether a stop string is complete; it and what
            follows are gone then.
        """
        if not self._stops:
            return text, False
        pool = self._held + text
        for place in range(len(self._held), len(pool)):
            ended = self._feed(pool[place])
            if ended:
                self._held = ""
                return pool[: place + 1 - ended], True
        keep = max(self._matched)
        self._held = pool[len(pool) - keep :]
        return pool[: len(pool) - keep], False

    def flush(self) -> str:
        """What was held back for a stop string that did not come."""
        held, self._held = self._held, ""
        return held

    def _feed(self, character: str) -> int:
        """Follow each stop string by a character; the length of the longest now complete, or 0."""
        ended = 0
        for i, stop in enumerate(self._stops):
            matched = self._matched[i]
            while matched and stop[matched] != character:
                matched = self._fallbacks[i][matched - 1]
            if stop[matched] == character:
                matched += 1
            if matched == len(stop):
                ended = max(ended, matched)
                matched = self._fallbacks[i][matched - 1]
            self._matched[i] = matched
        return ended


def _fallbacks(stop: str) -> list[int]:
    """Knuth, Morris and Pratt's table: for each prefix, its longest proper prefix and suffix."""
    table = [0] * len(stop)
    matched = 0
    for place in range(1, len(stop)):
        while matched and stop[matched] != stop[place]:
            matched = table[matched - 1]
        if stop[matched] == stop[place]:
            matched += 1
        table[place] = matched
    return table


def _byte_pieces(backend: Any, skipped: frozenset[int]) -> list[bytes] | None:
    """The bytes of every token, or None where the tokenizer is not byte-level."""
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    if decoder.get("type") != "ByteLevel":
        return None
    byte_of = _byte_alphabet()
    pieces = [b""] * (max(backend.get_vocab(with_added_tokens=True).values()) + 1)
    for token, token_id in backend.get_vocab(with_added_tokens=True).items():
        if token_id in skipped:
            continue
        known = all(symbol in byte_of for symbol in token)
        pieces[token_id] = bytes(byte_of[s] for s in token) if known else token.encode()
    return pieces


def _byte_alphabet() -> dict[str, int]:
    """Which symbol stands for which byte: printable ones for themselves, the rest from U+0100."""
    symbols = set(pre_tokenizers.ByteLevel.alphabet())
    own = {symbol: ord(symbol) for symbol in symbols if ord(symbol) < 256}
    rest = sorted(set(range(256)) - set(own.values()))
    return own | {chr(256 + i): byte for i, byte in enumerate(rest)}
