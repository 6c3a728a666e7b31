"""The routes that return generated text, and the list of models.

A route reads a request, has it rendered and hands it to gated runs; it never
sees a token. Field by field these are OpenAI's, so that its clients work
unchanged.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from probing.errors import PromptTooLong
from probing.policy import Action
from service.answering import AnswerResponse, Job
from service.domain import Message, utc_now
from service.engines.protocol import GenerationRequest
from service.gate import Gate, Run
from service.ledger import Order
from service.reasons import Unscored
from service.refusals import Refusal
from service.replies import MODERATOR, Head, Kind, json_response
from service.settings import Settings
from service.supervisor import Supervisor
from service.wire import ChatRequest, CompletionRequest, Sampling, parse_json, read_as

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the routes work with."""

    settings: Settings
    """Limits and the operator's policy."""
    gate: Gate
    """The only way to text."""
    supervisor: Supervisor
    """Holds the work that outlives a connection."""
    started: int
    """Unix time in seconds; the `created` of the one model."""
    rendering: asyncio.Semaphore
    """How many prompts are tokenized at once. Long ones take seconds, and in the same threads
    flags are committed: they must never wait for a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that was read: what to render and how to answer."""

    asked: Sampling
    """The fields that both routes share."""
    kind: Kind
    """Which route."""
    messages: tuple[Message, ...]
    """The conversation, or the raw prompt as one message."""
    render: Callable[[], tuple[int, ...]]
    """Makes the prompt's tokens; takes time, so it runs in a thread."""
    blocks: bool = False
    """Whether the client wants crossings to end the answer."""
    moderation: bool = False
    """Whether it wants moderation results."""


def openai_routes(desk: Desk) -> APIRouter:
    """`/v1/chat/completions`, `/v1/completions` and `/v1/models`."""
    router = APIRouter()
    engine = desk.gate.engine

    @router.post(CHAT)
    async def chat_completions(request: Request) -> Response:
        asked = read_as(ChatRequest, await _json_body(request, desk.settings.body_bytes_max))
        _require_moderation(desk, asked)
        messages = tuple(message.as_domain() for message in asked.messages)
        question = Question(
            asked=asked,
            kind="chat",
            messages=messages,
            render=lambda: engine.render_chat([message.as_json() for message in messages]),
            blocks=asked.blocks,
            moderation=asked.moderation is not None,
        )
        return await _respond(desk, question)

    @router.post(COMPLETIONS)
    async def completions(request: Request) -> Response:
        asked = read_as(CompletionRequest, await _json_body(request, desk.settings.body_bytes_max))
        question = Question(
            asked=asked,
            kind="text",
            messages=(Message(role="prompt", content=asked.prompt),),
            render=lambda: engine.render_text(asked.prompt),
        )
        return await _respond(desk, question)

    @router.get("/v1/models")
    async def models() -> Response:
        return json_response({"object": "list", "data": [_model(desk)]})

    @router.get("/v1/models/{model:path}")
    async def model(model: str) -> Response:
        _require_model(desk, model)
        return json_response(_model(desk))

    return router


async def _respond(desk: Desk, question: Question) -> Response:
    asked = question.asked
    arrived_seconds, created_at = time.monotonic(), utc_now()
    _require_model(desk, asked.model)
    _require_open(desk)
    if (choices := asked.n or 1) > desk.settings.choices_max:
        most = desk.settings.choices_max
        raise Refusal(400, "invalid_value", f"n is {choices}; ask for {most} at most", param="n")
    async with desk.rendering:
        prompt_ids = await asyncio.to_thread(question.render)
    tokens_max = _room(desk, asked, len(prompt_ids))
    request_id = f"{'chatcmpl' if question.kind == 'chat' else 'cmpl'}-{uuid.uuid4().hex}"
    runs = tuple(
        Run(
            desk.gate,
            Order(
                created_at=created_at,
                arrived_seconds=arrived_seconds,
                route=CHAT if question.kind == "chat" else COMPLETIONS,
                messages=question.messages,
                request=_generation(desk, question, request_id, index, prompt_ids, tokens_max),
            ),
        )
        for index in range(choices)
    )
    head = Head(
        id=request_id,
        created=int(created_at.timestamp()),
        model=asked.model,
        fingerprint=desk.gate.engine.card.fingerprint,
        kind=question.kind,
        include_usage=asked.include_usage and bool(asked.stream),
        moderation=question.moderation,
    )
    job = Job(head=head, runs=runs, prompt_tokens=len(prompt_ids), streaming=bool(asked.stream))
    return AnswerResponse(job, desk.supervisor, desk.gate.metrics)


def _generation(
    desk: Desk,
    question: Question,
    request_id: str,
    index: int,
    prompt_ids: tuple[int, ...],
    tokens_max: int,
) -> GenerationRequest:
    """One choice. The first has the request's id, further ones a number behind it.

    Each draws from a seed of its own, or all choices of a seeded request were equal.
    """
    asked, settings = question.asked, desk.settings
    action = settings.action
    return GenerationRequest(
        id=request_id if index == 0 else f"{request_id}-{index}",
        prompt_ids=prompt_ids,
        tokens_max=tokens_max,
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        seed=None if asked.seed is None else (asked.seed + index) % 2**63,
        stop=tuple(asked.stop or ()),
        action=Action.stricter_of(action, Action.HALT) if question.blocks else action,
        early=settings.release_rule == "immediate",
    )


def _room(desk: Desk, asked: Sampling, prompt_tokens: int) -> int:
    """How many tokens an answer may have: the least of what is asked, allowed and possible."""
    context = desk.gate.engine.card.context
    if prompt_tokens >= context:
        raise PromptTooLong(prompt_tokens, context)
    allowed = min(desk.settings.answer_tokens_max, context - prompt_tokens)
    return min(allowed, asked.answer_tokens or allowed)


def _require_model(desk: Desk, name: str) -> None:
    served = desk.gate.engine.card.model_name
    if name != served:
        message = f"no model of that name; this service has {served!r}"
        raise Refusal(404, "model_not_found", message, param="model")


def _require_open(desk: Desk) -> None:
    if desk.gate.readiness.draining:
        reason = Unscored.SHUTDOWN
        raise Refusal(503, reason.value, f"{reason.told}; ask another instance")


def _require_moderation(desk: Desk, asked: ChatRequest) -> None:
    """Refuse to moderate by another model than ours, or to block what is never scored."""
    if asked.moderation is None:
        return
    exact = f"{MODERATOR}:{desk.gate.engine.card.probe_set}"
    if asked.moderation.model not in (MODERATOR, exact):
        message = f"the moderation model here is {MODERATOR!r}, at this moment {exact!r}"
        raise Refusal(400, "invalid_value", message, param="moderation.model")
    policy = asked.moderation.policy
    if policy and policy.input and policy.input.mode == "block":
        message = "requests are not scored, so they cannot be blocked; ask for output instead"
        raise Refusal(400, "unsupported_parameter", message, param="moderation.policy.input")


def _model(desk: Desk) -> dict[str, object]:
    name = desk.gate.engine.card.model_name
    return {"id": name, "object": "model", "created": desk.started, "owned_by": "probewatch"}


async def _json_body(request: Request, bytes_max: int) -> dict[str, object]:
    """The request's JSON object.

    Raises:
        Refusal: 415 for another type (a web page could send that unasked), 413 when too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "unsupported_media_type", "send `Content-Type: application/json`")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bytes_max:
            message = f"the body is larger than {bytes_max} bytes; shorten it"
            raise Refusal(413, "body_too_large", message)
    return parse_json(bytes(body))
