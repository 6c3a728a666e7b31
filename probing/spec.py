"""Where in a forward pass we read, written down once.

A probe is only meaningful for the readings it was trained on. `ReadingSpec`
says what those depend on, and its fingerprint travels inside every artifact, so
that training and service either agree exactly or refuse to start.

This module is plain data: it imports neither torch nor transformer_lens.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from probing.errors import InvalidSpecification

Hook = Literal[
    "hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out", "hook_resid_post"
]
"""The five places of a block, in the order in which a forward pass reaches them."""

HOOKS: tuple[Hook, ...] = get_args(Hook)


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """One named place in the forward pass, by TransformerLens' name for it."""

    layer: int
    """Block, counted from 0."""
    hook: Hook
    """Place within the block."""

    @classmethod
    def parse(cls, name: str) -> Site:
        """Read `blocks.3.hook_resid_post`.

        Raises:
            InvalidSpecification: the name has another form or an unknown hook.
        """
        match = re.fullmatch(r"blocks\.(\d+)\.(\w+)", name)
        if match is None or match[2] not in HOOKS:
            raise InvalidSpecification("site", name, f"blocks.LAYER.HOOK, HOOK one of {HOOKS}")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"blocks.{self.layer}.{self.hook}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSpec:
    """The contract between the hour of training and the hour of serving."""

    weights: str
    """SHA-256 over the names, shapes, types and bytes of all tensors."""
    config: str
    """SHA-256 over the architecture's configuration, without names, paths and attention kernel."""
    modules: str
    """SHA-256 over the name and class of every module: an exchanged norm changes it."""
    tokenizer: str
    """SHA-256 over the tokenizer's vocabulary, merges and processing."""
    template: str
    """SHA-256 over the chat template."""
    dtype: str
    """Precision of the forward pass: "float32", "bfloat16" or "float16"."""
    d_model: int
    """Width of the residual stream: every reading has shape [d_model]."""
    processing: str = "raw"
    """What was done to the weights after loading; nothing else than "raw" is read."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever any field changes."""
        return digest_of(asdict(self))[:12]

    def as_json(self) -> dict[str, Any]:
        """The fields as they stand in a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ReadingSpec:
        """Read the fields of a manifest.

        Raises:
            InvalidSpecification: a field is missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if set(data) != names:
            raise InvalidSpecification("reading spec", str(sorted(data)), str(sorted(names)))
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a model came from. Recorded beside the spec and never hashed into it."""

    name: str
    """What its user calls it."""
    path: str | None
    """Directory or hub name it was loaded from; None for an object already in memory."""
    revision: str | None
    """Hub revision, where one was asked for."""
    engine: str
    """What runs the forward pass: "transformers" or "vllm"."""
    attention: str
    """Attention kernel, for example "sdpa"."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which tokens of an exchange count for a probe."""

    kind: Literal["response", "prompt", "all", "tail"]
    """`tail` is the last `tokens` tokens of the response."""
    tokens: int = 0
    """Length of the tail; 0 for the other kinds."""

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read `response`, `prompt`, `all` or `tail:K`.

        Raises:
            InvalidSpecification: anything else.
        """
        if text in ("response", "prompt", "all"):
            return cls(text)  # type: ignore[arg-type]
        match = re.fullmatch(r"tail:([1-9]\d*)", text)
        if match is None:
            raise InvalidSpecification("span", text, "response, prompt, all or tail:K")
        return cls("tail", int(match[1]))

    def __str__(self) -> str:
        return f"tail:{self.tokens}" if self.kind == "tail" else self.kind

    @property
    def reads_prompt(self) -> bool:
        """Whether tokens before the answer count."""
        return self.kind in ("prompt", "all")

    def slice(self, response_start: int, length: int) -> slice:
        """The tokens that count, of `length` tokens whose answer begins at `response_start`."""
        return {
            "response": slice(response_start, length),
            "prompt": slice(0, response_start),
            "all": slice(0, length),
            "tail": slice(max(response_start, length - self.tokens), length),
        }[self.kind]


def digest_of(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """SHA-256 of plain data, independent of key order."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
