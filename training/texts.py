"""Examples as the tokens that a model reads, rendered as in serving."""

from __future__ import annotations

from probing.model import LoadedModel
from probing.prompt import Rendered, encode_text, render_exchange
from training.datasets.schema import Dataset, Example
from training.errors import NothingToRead, TextTooLong


def render(loaded: LoadedModel, dataset: Dataset) -> list[Rendered]:
    """Tokens of every example; a plain text counts as answer from its first token on.

    Raises:
        TextTooLong: an example does not fit into the model's context.
        NothingToRead: an example's answer has no tokens.
        TemplateError: the model's template refuses an example's roles.
    """
    return [_render(loaded, example) for example in dataset]


def _render(loaded: LoadedModel, example: Example) -> Rendered:
    if example.is_plain:
        rendered = Rendered(tuple(encode_text(loaded.tokenizer, example.answer)), 0)
    else:
        rendered = render_exchange(loaded.tokenizer, example.messages)
    length = len(rendered.token_ids)
    if length > loaded.context:
        raise TextTooLong(example.where or example.id, length, loaded.context)
    if length <= rendered.response_start:
        raise NothingToRead(example.where or example.id)
    return rendered
