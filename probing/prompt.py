"""From messages to token ids: the one place that renders a chat template.

Training and service share it, so an exchange that was written down is read as the
same tokens as one that is generated: first the prompt's ids, then the answer's.

Only the template writes special tokens. Where a message spells one, it is read as the
letters it consists of: else a user could end their turn and begin the assistant's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import TemplateError as JinjaError

from probing.errors import TemplateError

Message = Mapping[str, str]
"""`{"role": ..., "content": ...}`, as in OpenAI's API."""

Tokenizer = Any
"""A Hugging Face tokenizer; its own types say nothing that a checker could use."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] }}\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""What a model without a chat template is shown; its answers begin with a space."""

_CUT = "\ufdd0"
"""Between two pieces of text that are tokenized apart. Unicode leaves this code point to
programs; in a message it is replaced."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An exchange as tokens, and where the answer begins."""

    token_ids: tuple[int, ...]
    """Prompt and answer; the token that ends the answer's turn is not part of it."""
    response_start: int
    """Index of the answer's first token; everything from there on is response."""

    @property
    def response_mask(self) -> tuple[bool, ...]:
        """True for each token of the answer."""
        return tuple(i >= self.response_start for i in range(len(self.token_ids)))


def template_of(tokenizer: Tokenizer) -> str:
    """The template in use: the tokenizer's own, or `PLAIN_TEMPLATE`."""
    return str(tokenizer.chat_template or PLAIN_TEMPLATE)


def encodable(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, which is all a tokenizer can take."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a raw prompt, with the special tokens that the tokenizer puts around text."""
    return list(tokenizer(encodable(text))["input_ids"])


def render_prompt(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the assistant is to speak.

    Raises:
        TemplateError: the template refuses these roles or their order.
    """
    return _encode(tokenizer, _apply(tokenizer, messages, generation=True))


def render_exchange(tokenizer: Tokenizer, messages: Sequence[Message]) -> Rendered:
    """A finished conversation, whose last message is the assistant's answer, as tokens.

    Raises:
        TemplateError: the last message is not the assistant's, or the template refuses.
    """
    if not messages or messages[-1]["role"] != "assistant":
        raise TemplateError("the last message of a finished exchange must be the assistant's")
    prompt = _apply(tokenizer, messages[:-1], generation=True)
    prompt_ids = _encode(tokenizer, prompt)
    answer = _answer_text(tokenizer, messages, prompt)
    together = _encode(tokenizer, prompt + answer)
    if together[: len(prompt_ids)] != prompt_ids:
        together = prompt_ids + _pieces(tokenizer, answer)
    return Rendered(tuple(together), len(prompt_ids))


def _answer_text(tokenizer: Tokenizer, messages: Sequence[Message], prompt: str) -> str:
    """The answer as the template writes it, with leading space and without the end of turn."""
    content = _inert(tokenizer, messages[-1]["content"]).strip()
    whole = _apply(tokenizer, messages, generation=False)
    rest = whole[len(prompt) :] if whole.startswith(prompt) else content
    return rest[: rest.find(content) + len(content)] if content in rest else content


def _apply(tokenizer: Tokenizer, messages: Sequence[Message], *, generation: bool) -> str:
    clean = [
        {key: _inert(tokenizer, value) for key, value in message.items()} for message in messages
    ]
    try:
        return str(
            tokenizer.apply_chat_template(
                clean,
                chat_template=template_of(tokenizer),
                add_generation_prompt=generation,
                tokenize=False,
            )
        )
    except (JinjaError, KeyError, TypeError, ValueError) as error:
        raise TemplateError(str(error) or type(error).__name__) from error


def _inert(tokenizer: Tokenizer, text: str) -> str:
    """The text with a cut inside everything that would be taken for one of the template's marks."""
    text = encodable(text).replace(_CUT, "\ufffd")
    marks = _marks(tokenizer)
    if not any(mark in text for mark in marks):
        return text
    begins = re.compile(rf"(?=(?:{'|'.join(map(re.escape, marks))}))(.)", re.DOTALL)
    return begins.sub(rf"\1{_CUT}", text)


def _marks(tokenizer: Tokenizer) -> list[str]:
    """Special tokens, and those that the template writes though nobody declared them special."""
    template = template_of(tokenizer)
    added = [(token.content, token.special) for token in tokenizer.added_tokens_decoder.values()]
    return [text for text, special in added if special or (text in template and text.strip())]


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """A template of the tokenizer's own writes the special tokens; `PLAIN_TEMPLATE` does not."""
    first, cut, rest = text.partition(_CUT)
    own = tokenizer.chat_template is None
    ids = list(tokenizer(first, add_special_tokens=own)["input_ids"])
    return ids + _pieces(tokenizer, rest) if cut else ids


def _pieces(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of text that stands behind other text, piece by piece."""
    pieces = tokenizer(text.split(_CUT), add_special_tokens=False)["input_ids"]
    return [token for piece in pieces for token in piece]
