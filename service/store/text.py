r"""Any Python string, kept without loss in a text column of either database.

PostgreSQL refuses NUL in text, and both drivers refuse lone surrogates, which
are legal in JSON (`"\ud800"`). One such character in a prompt must not make a
flag vanish, and replacing it would show the auditor another text than the model
read. So the characters that cannot be stored are escaped, and only these:

    U+0000, U+001A and U+D800 to U+DFFF  ->  U+001A and four lower-case hex digits

Every other character stands for itself, so ordinary text stays readable and
searchable in SQL. The escape character is SUBSTITUTE (U+001A), which text hardly
ever holds; a backslash would have made every program and every path unreadable.
The encoding is one-to-one: equal texts are stored equal, so `=`, uniqueness and
foreign keys mean the same as in Python.
"""

from __future__ import annotations

import re

from service.store.errors import DamagedRow

_MARK = "\x1a"
_NOT_STORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPE = re.compile(f"{_MARK}(0000|001a|d[89a-f][0-9a-f]{{2}})?")


def encode_text(text: str) -> str:
    """The form in which a text is stored: valid UTF-8 without NUL."""
    return _NOT_STORABLE.sub(lambda found: f"{_MARK}{ord(found[0]):04x}", text)


def decode_text(stored: str) -> str:
    """The text that was stored.

    Raises:
        DamagedRow: an escape is not one that `encode_text` writes.
    """
    return _ESCAPE.sub(_character, stored) if _MARK in stored else stored


def _character(found: re.Match[str]) -> str:
    if found[1] is None:
        raise DamagedRow("a text", f"an escape at character {found.start()} is cut short")
    return chr(int(found[1], 16))
