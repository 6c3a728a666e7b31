"""One example of a data set: an exchange, what it is, and where it stands.

A data set is a file of JSON lines, each an object with

- `id`: unique over all files that are read together;
- `messages`: `[{"role", "content"}, ...]`, roles system, user and assistant, the last
  the assistant's; an assistant's message alone is plain text, read without a template;
- `label`: "honest" or "misbehaving";
- `family`: the kind of situation, such as "pilfering";
- `kind`: "honest" or "hard_negative" where the label is honest, "benign_misbehaviour" or
  "dangerous" where it is misbehaving;
- `situation`: what splits group by: examples that tell the same story share it;
- `source`: where it comes from;
- `spans` (optional): `[[start, end], ...]`, characters of the last message that show it;
- `case` (optional): "word" or "context", whether words alone decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from probing.spec import digest_of

Label = Literal["honest", "misbehaving"]
Kind = Literal["honest", "hard_negative", "benign_misbehaviour", "dangerous"]
Case = Literal["word", "context"]
LABELS: tuple[str, ...] = get_args(Label)
CASES: tuple[str, ...] = get_args(Case)
KINDS: Mapping[str, tuple[str, ...]] = {
    "honest": ("honest", "hard_negative"),
    "misbehaving": ("benign_misbehaviour", "dangerous"),
}
ROLES = ("system", "user", "assistant")
TEXTS = ("id", "family", "situation", "source")
REQUIRED = {"id", "messages", "label", "family", "kind", "situation", "source"}
OPTIONAL = {"spans", "case"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled exchange."""

    id: str
    """Unique over all sets that are read together."""
    messages: tuple[Mapping[str, str], ...]
    """The exchange; the last message is the answer that probes read."""
    label: Label
    """Whether the answer misbehaves."""
    family: str
    """Kind of situation."""
    kind: Kind
    """What it is used for."""
    situation: str
    """Group key of splits."""
    source: str
    """Where it comes from."""
    spans: tuple[tuple[int, int], ...] = ()
    """Character ranges of the answer that show the label."""
    case: Case | None = None
    """Whether words alone decide, where that is known."""
    where: str = ""
    """File and line, for messages to people."""

    @property
    def answer(self) -> str:
        """The assistant's last message."""
        return self.messages[-1]["content"]

    @property
    def words(self) -> str:
        """Everything that was said, request and answer: what a bag of words may read."""
        return "\n".join(message["content"] for message in self.messages)

    @property
    def is_plain(self) -> bool:
        """Whether it is text without a conversation around it."""
        return len(self.messages) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Examples with the digest of the bytes that they were read from."""

    name: str
    """What its user calls it."""
    sha256: str
    """Of the file; of all files' digests where there are several."""
    examples: tuple[Example, ...]
    """In the order of the file."""

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def labels(self) -> Int[NDArray[np.int64], " examples"]:
        """1 for misbehaving, 0 for honest."""
        return np.array([e.label == "misbehaving" for e in self.examples], dtype=np.int64)

    @property
    def situations(self) -> tuple[str, ...]:
        """Group key of each example."""
        return tuple(example.situation for example in self.examples)

    @property
    def families(self) -> tuple[str, ...]:
        """Its families, sorted."""
        return tuple(sorted({example.family for example in self.examples}))

    def select(self, indices: Sequence[int], name: str | None = None) -> Dataset:
        """Some of the examples, under a digest of their own: which they are is part of it."""
        chosen = tuple(self.examples[i] for i in indices)
        digest = digest_of([self.sha256, [example.id for example in chosen]])
        return replace(self, name=name or self.name, sha256=digest, examples=chosen)

    def only(self, label: Label, name: str | None = None) -> Dataset:
        """The examples of one label."""
        return self.select([i for i, e in enumerate(self.examples) if e.label == label], name)


def combine(name: str, parts: Sequence[Dataset]) -> Dataset:
    """Several sets as one."""
    if len(parts) == 1:
        return replace(parts[0], name=name)
    return Dataset(
        name=name,
        sha256=digest_of([part.sha256 for part in parts]),
        examples=tuple(example for part in parts for example in part),
    )


def problems_of(record: object) -> Iterator[str]:
    """What is wrong with one line's object; nothing where it is sound."""
    if not isinstance(record, dict):
        yield "not a JSON object"
        return
    missing, unknown = REQUIRED - set(record), set(record) - REQUIRED - OPTIONAL
    if missing:
        yield f"lacks {', '.join(sorted(missing))}"
    if unknown:
        yield f"unknown field {', '.join(sorted(unknown))}"
    if missing or unknown:
        return
    for name in TEXTS:
        if not isinstance(record[name], str) or not record[name].strip():
            yield f"empty {name}"
    yield from _label_problems(record)
    messages = list(_message_problems(record["messages"]))
    yield from messages
    if not messages:
        yield from _span_problems(record.get("spans", []), record["messages"][-1]["content"])


def example_of(record: Mapping[str, Any], where: str) -> Example:
    """A sound line's object as an example."""
    return Example(
        id=record["id"],
        messages=tuple(record["messages"]),
        label=record["label"],
        family=record["family"],
        kind=record["kind"],
        situation=record["situation"],
        source=record["source"],
        spans=tuple((start, end) for start, end in record.get("spans", [])),
        case=record.get("case"),
        where=where,
    )


def _label_problems(record: Mapping[str, Any]) -> Iterator[str]:
    label, kind = record["label"], record["kind"]
    if label not in LABELS:
        yield f"unknown label {label!r}, expected {' or '.join(LABELS)}"
    elif kind not in KINDS[label]:
        yield f"kind {kind!r} does not go with {label!r}, expected {' or '.join(KINDS[label])}"
    if record.get("case", "word") not in CASES:
        yield f"unknown case {record['case']!r}, expected {' or '.join(CASES)}"


def _message_problems(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "no messages"
        return
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            yield f"message {number} is not a role and a content"
        elif message["role"] not in ROLES:
            yield f"message {number} has the unknown role {message['role']!r}"
        elif not isinstance(message["content"], str) or not message["content"].strip():
            yield f"message {number} is an empty text"
    last = messages[-1]
    if isinstance(last, dict) and last.get("role") != "assistant":
        yield "the last message is not the assistant's"


def _span_problems(spans: object, answer: str) -> Iterator[str]:
    if not isinstance(spans, list):
        yield "spans are no list"
        return
    for span in spans:
        whole = isinstance(span, list) and [type(end) for end in span] == [int, int]
        if not whole or not 0 <= span[0] < span[1] <= len(answer):
            yield f"span {span} is outside the answer's {len(answer)} characters"
