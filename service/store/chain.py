"""The chain that binds every line of the audit to all lines before it.

The link of a line is SHA-256 over the link of the line before, the line's number
and its columns as they are stored. Each of these is written down with its length
in front, and None as a mark of its own, so no two different lines read the same:

    +LENGTH:BYTES for a value, - for None; first the version, "probewatch audit 1"

Texts are hashed in the form of `text.encode_text`, which is one-to-one, and moments
as UTC with six digits of a second, which both databases can give back. So a link is
the same on both, and can be reckoned from what stands in the table without reading it.

Released chains hold these hashes for ever: a test pins the encoding to known ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from service.store.text import encode_text

GENESIS = "0" * 64
"""What the first line is linked to."""

COLUMNS = ("at", "actor", "action", "subject", "before", "after", "reason")
"""The columns of a line that are hashed, in this order, behind its number."""

_VERSION = b"probewatch audit 1"


def link(previous: str, number: int, columns: Iterable[bytes | None]) -> str:
    """The hash of a line, 64 hex digits.

    Args:
        previous: the hash of the line before; `GENESIS` for the first.
        number: the line's number, from 1.
        columns: what stands in `COLUMNS`, as `moment_as_stored` and `text_as_stored` give it.
    """
    digest = hashlib.sha256()
    for part in (_VERSION, previous.encode(), str(number).encode(), *columns):
        digest.update(b"-" if part is None else b"+%d:%b" % (len(part), part))
    return digest.hexdigest()


def moment_as_stored(at: datetime) -> bytes:
    """A moment as the chain hashes it; one without a time zone is taken to be UTC."""
    utc = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return utc.isoformat(" ", "microseconds").encode()


def text_as_stored(text: str | None) -> bytes | None:
    """A text as the chain hashes it."""
    return None if text is None else encode_text(text).encode()
