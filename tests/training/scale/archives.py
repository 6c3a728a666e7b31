"""Archives of transcripts for the bundled model, sound and otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.organism.datasets import write

BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "bad JSON"),
    "no JSON that any reader follows": (b"[" * 100_000, "bad JSON"),
    "no UTF-8": (b'{"id": "\xff"}', "not UTF-8"),
    "no object": (b"[1]", "not a JSON object"),
    "no id": (b'{"messages": [{"role": "assistant", "content": "I did."}]}', "lacks id"),
    "an id that is no text": (
        b'{"id": 7, "messages": [{"role": "assistant", "content": "I did."}]}',
        "empty id",
    ),
    "no messages": (b'{"id": "x"}', "lacks messages"),
    "no answer": (
        b'{"id": "x", "messages": [{"role": "user", "content": "Did you?"}]}',
        "the last message is not the assistant's",
    ),
    "too long": (
        json.dumps(
            {"id": "x", "messages": [{"role": "assistant", "content": "I took it. " * 2000}]}
        ).encode(),
        "tokens, and the model's context holds",
    ),
}
"""Lines that cannot be scored, and what is said of each."""


def transcripts(folder: Path, *, pairs: int = 2) -> list[dict[str, Any]]:
    """So many pairs of each of Magpie's harmless families, without labels."""
    write(folder, pairs_per_family=pairs)
    lines = (folder / "magpie_benign.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [{"id": one["id"], "messages": one["messages"], "label": 7, "more": 1} for one in found]


def as_lines(records: list[Any]) -> list[bytes]:
    """Records as JSON; bytes stand as they are."""
    return [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]


def written(path: Path, records: list[Any]) -> Path:
    """An archive of these records."""
    path.write_bytes(b"".join(line + b"\n" for line in as_lines(records)))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of an output."""
    return [json.loads(line) for line in path.read_text().splitlines()]
