"""Answers in OpenAI's shapes: whole, and chunk by chunk.

A chunk of text is a prefix and a suffix made once per choice around one
`json.dumps`, because it is paid for every token. JSON is written in ASCII, so
that a lone surrogate in a text cannot break the response.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from starlette.responses import Response

from service.ledger import Answer
from service.refusals import Refusal
from service.web.pages import is_page, refusal_page

Kind = Literal["chat", "text"]

DONE = b"data: [DONE]\n\n"

MODERATOR = "probewatch"
"""The moderation model's name, for requests that ask for moderation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What all chunks of one response share."""

    id: str
    """Of the request; also in the header `x-request-id`."""
    created: int
    """Unix time in seconds."""
    model: str
    """As the request named it."""
    fingerprint: str
    """Of the readings; OpenAI's `system_fingerprint`."""
    kind: Kind
    """Which route's shape."""
    include_usage: bool = False
    """Whether chunks have a `usage` member."""
    moderation: bool = False
    """Whether the client asked for moderation results."""

    def _shared(self, kind: str) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**head, "system_fingerprint": f"fp_{self.fingerprint}"}

    def chunk(
        self, choices: Sequence[dict[str, Any]], extra: Mapping[str, Any] | None = None
    ) -> bytes:
        """One server-sent event."""
        kind = "chat.completion.chunk" if self.kind == "chat" else "text_completion"
        usage = {"usage": None} if self.include_usage else {}
        return event({**self._shared(kind), "choices": list(choices), **usage, **(extra or {})})

    def text_frame(self, index: int) -> tuple[bytes, bytes]:
        """What stands before and after the JSON text of a chunk of choice `index`."""
        choice: dict[str, Any] = {"index": index}
        choice |= {"delta": {"content": "\0"}} if self.kind == "chat" else {"text": "\0"}
        frame = self.chunk([{**choice, "logprobs": None, "finish_reason": None}])
        before, _, after = frame.partition(json.dumps("\0").encode())
        return before, after

    def first_chunk(self, index: int) -> bytes:
        """Names the speaker on the chat route; the other route has no such chunk."""
        if self.kind == "text":
            return b""
        delta = {"role": "assistant", "content": ""}
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        return self.chunk([choice])

    def last_chunk(self, index: int, answer: Answer) -> bytes:
        """The finish reason, with the receipt."""
        body: dict[str, Any] = {"delta": {}} if self.kind == "chat" else {"text": ""}
        return self.chunk([{"index": index, **body, **_ending(answer)}])

    def closing_chunks(self, prompt_tokens: int, answers: Sequence[Answer]) -> bytes:
        """Moderation and usage, where asked for, and the end of the stream."""
        closing = b""
        if self.moderation:
            closing += self.chunk([], {"moderation": moderation(answers)})
        if self.include_usage:
            closing += self.chunk([], {"usage": usage(prompt_tokens, answers)})
        return closing + DONE

    def whole(
        self, prompt_tokens: int, texts: Sequence[str], answers: Sequence[Answer]
    ) -> dict[str, Any]:
        """The response of a request that did not ask for a stream."""
        choices = []
        for index, (text, answer) in enumerate(zip(texts, answers, strict=True)):
            message = {"role": "assistant", "content": text, "refusal": None}
            body = {"message": message} if self.kind == "chat" else {"text": text}
            choices.append({"index": index, **body, **_ending(answer)})
        kind = "chat.completion" if self.kind == "chat" else "text_completion"
        reply = {**self._shared(kind), "choices": choices, "usage": usage(prompt_tokens, answers)}
        return {**reply, "moderation": moderation(answers)} if self.moderation else reply


def _ending(answer: Answer) -> dict[str, Any]:
    receipt = asdict(answer.receipt)
    return {"logprobs": None, "finish_reason": answer.finish_reason, "probewatch": receipt}


def as_json(data: Mapping[str, Any]) -> bytes:
    """Compact JSON in ASCII. It holds any Python string, which UTF-8 would not."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event with JSON data."""
    return b"data: " + as_json(data) + b"\n\n"


def json_response(data: Mapping[str, Any], status: int = 200) -> Response:
    """A whole response with JSON data."""
    return Response(as_json(data), status, media_type="application/json")


def refusal_response(refusal: Refusal, path: str) -> Response:
    """An error in the shape of the route that was asked for."""
    if is_page(path):
        return refusal_page(refusal)
    ours = path.startswith("/v1/monitor")
    body = as_json(refusal.as_problem() if ours else refusal.as_openai())
    kind = "application/problem+json" if ours else "application/json"
    return Response(body, refusal.status, refusal.headers, kind)


def failure_event(refusal: Refusal) -> bytes:
    """How a stream that has begun ends when it cannot go on."""
    return event(refusal.as_openai()) + DONE


def usage(prompt_tokens: int, answers: Sequence[Answer]) -> dict[str, int]:
    """Tokens read and generated; a prompt counts once however many choices it has."""
    generated = sum(answer.tokens for answer in answers)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": prompt_tokens + generated,
    }


def moderation(answers: Sequence[Answer]) -> dict[str, Any]:
    """OpenAI's moderation results, one per choice: probe names are the categories.

    A category's score is the logistic function of the probe's highest statistic;
    0 while too few tokens were read. Probes read answers, so the input side says
    that it was not scored.
    """
    not_scored = "probes read the answer as it is generated, not the request"
    model = f"{MODERATOR}:{answers[0].receipt.probe_set}"
    results = [
        {
            "type": "moderation_result",
            "model": model,
            "flagged": any(answer.tripped.values()),
            "categories": answer.tripped,
            "category_scores": {name: _logistic(peak) for name, peak in answer.peaks.items()},
            "category_applied_input_types": {name: ["text"] for name in answer.peaks},
        }
        for answer in answers
    ]
    return {
        "input": {"type": "error", "code": "not_scored", "message": not_scored},
        "output": {"type": "moderation_results", "model": model, "results": results},
    }


def _logistic(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    exponential = math.exp(logit)
    return exponential / (1 + exponential)
