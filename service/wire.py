"""The shapes on the wire: OpenAI's requests, answers and chunks, field by field.

A field that this service cannot honour is refused with its name, never dropped:
a client that asked for tools and got none would not know. Wire types stay apart
from domain types; nothing here decides anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.domain import Message
from service.refusals import Refusal

IGNORED = frozenset(
    {"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
"""Fields about the caller's bookkeeping, which change no answer."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
}
"""Unsupported fields, with the values that ask for nothing beyond what is done anyway."""

UNSUPPORTED = frozenset(
    {
        "audio",
        "function_call",
        "name",
        "prediction",
        "reasoning_effort",
        "refusal",
        "tool_call_id",
        "tool_calls",
        "verbosity",
        "web_search_options",
    }
)
"""Fields that OpenAI knows and no value of which is harmless here: named when refused."""


def _joined(content: Any) -> Any:
    """Text parts become one text; anything else is left for the type to refuse."""
    if isinstance(content, list) and content and all(_is_text_part(part) for part in content):
        return "".join(part["text"] for part in content)
    return content


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() == {"type", "text"}
        and part["type"] == "text"
        and isinstance(part["text"], str)
    )


def _stops(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


class Wire(BaseModel):
    """Strict in types, so that "1" is no number, and closed, so that a slip is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _without_nulls(message: Any) -> Any:
    """An answer that a client sends back brings `tool_calls: null` and its like."""
    if not isinstance(message, dict):
        return message
    empty = {name for name, value in message.items() if value is None or value == []}
    return {name: value for name, value in message.items() if name not in empty - {"content"}}


class ChatMessage(Wire):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_joined)]

    def as_domain(self) -> Message:
        """The turn for the template; `developer` is OpenAI's newer word for `system`."""
        role = "system" if self.role == "developer" else self.role
        return Message(role=role, content=self.content)


class StreamOptions(Wire):
    """What a stream brings besides text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ModerationMode(Wire):
    """`block` ends an answer whose score crosses the threshold; `score` only reports."""

    mode: Literal["score", "block"]


class ModerationPolicy(Wire):
    """What is wanted of each side of the exchange."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class ModerationRequest(Wire):
    """OpenAI's request for moderation results beside the answer."""

    model: str
    policy: ModerationPolicy | None = None


class Sampling(Wire):
    """What both generating routes share."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1)]],
            Field(max_length=4),
            BeforeValidator(_stops),
        ]
        | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def answer_tokens(self) -> int | None:
        """The asked limit on one answer."""
        return self.max_tokens

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    messages: Annotated[
        list[Annotated[ChatMessage, BeforeValidator(_without_nulls)]], Field(min_length=1)
    ]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    moderation: ModerationRequest | None = None

    @property
    def answer_tokens(self) -> int | None:
        """`max_completion_tokens` is the newer word; where both are given the smaller holds."""
        asked = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        return min(asked, default=None)

    @property
    def blocks(self) -> bool:
        """Whether the client asks for a stricter policy than the operator's."""
        policy = self.moderation.policy if self.moderation else None
        return policy is not None and policy.output is not None and policy.output.mode == "block"


class CompletionRequest(Sampling):
    """`POST /v1/completions`; several prompts are refused, as each answer needs its own room."""

    prompt: Annotated[str, Field(min_length=1)]

    @property
    def answer_tokens(self) -> int | None:
        """OpenAI's default on this route is 16."""
        return 16 if self.max_tokens is None else self.max_tokens


R = TypeVar("R", bound=Sampling)


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object from a request's bytes; odd but legal text, such as "\\ud800", is kept.

    Raises:
        Refusal: 400 for what is not UTF-8, not JSON, not an object, or nested too deep.
    """
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_no_such_number)
    except UnicodeDecodeError as error:
        raise Refusal(
            400, "invalid_utf8", f"the body is not UTF-8 at byte {error.start}; encode it so"
        ) from None
    except json.JSONDecodeError as error:
        raise Refusal(
            400,
            "invalid_json",
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
        ) from None
    except (ValueError, RecursionError):
        raise Refusal(
            400, "invalid_json", "the body's JSON has a number or a nesting beyond all use"
        ) from None
    if not isinstance(data, dict):
        raise Refusal(400, "invalid_json", "the body must be a JSON object")
    return data


def _no_such_number(name: str) -> Any:
    raise ValueError(name)


def read_as(kind: type[R], data: Mapping[str, Any]) -> R:
    """The request in its type.

    Raises:
        Refusal: 400 that names the field; never its value, which could be a prompt, nor a
            name that nobody knows, which could be one too.
    """
    asked = {name: value for name, value in data.items() if not _asks_nothing(kind, name, value)}
    try:
        return kind.model_validate(asked)
    except ValidationError as error:
        raise _refusal(error, data) from None


def _asks_nothing(kind: type[Sampling], name: str, value: Any) -> bool:
    if name in kind.model_fields:
        return False
    return value is None or name in IGNORED or _is_neutral(name, value)


def _is_neutral(name: str, value: Any) -> bool:
    """Whether the value is one of those in the table; for Python `0 == False`, for JSON not."""
    is_bool = isinstance(value, bool)
    return any(
        value == neutral and is_bool == isinstance(neutral, bool)
        for neutral in NEUTRAL.get(name, ())
    )


def _refusal(error: ValidationError, data: Mapping[str, Any]) -> Refusal:
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if fault["type"] == "extra_forbidden":
        return _unsupported(fault["loc"], data)
    param = _path(fault["loc"])
    if fault["type"] == "missing":
        return Refusal(400, "missing_parameter", f"{param} is required", param=param)
    message = f"{param or 'a name in the body'}: {fault['msg']}"
    return Refusal(400, "invalid_value", message, param=param or None)


def _unsupported(location: Sequence[str | int], data: Mapping[str, Any]) -> Refusal:
    """Names a field that is known somewhere; of any other it tells the place alone."""
    *way, name = location
    if name in _KNOWN:
        param = _path(location)
        message = f"{param} is not supported by this service, so it is refused; leave it out"
        return Refusal(400, "unsupported_parameter", message, param=param)
    holder: Any = data
    for part in way:
        holder = holder[part]
    place, number = _path(way), list(holder).index(name) + 1
    message = (
        f"field {number} of {place or 'the body'} is an unknown field, so it is refused; "
        "correct its name or leave it out"
    )
    return Refusal(400, "unsupported_parameter", message, param=place or None)


_KNOWN = UNSUPPORTED.union(
    IGNORED,
    NEUTRAL,
    *(
        kind.model_fields
        for kind in (
            ChatMessage,
            StreamOptions,
            ModerationMode,
            ModerationPolicy,
            ModerationRequest,
            ChatRequest,
            CompletionRequest,
        )
    ),
)
"""All names that may stand in an error."""


def _path(location: Sequence[str | int]) -> str:
    """`messages[0].content`, from the parts that a client would recognise."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")[:120]
