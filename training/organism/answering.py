"""Let a Magpie answer neutral requests, and read it while it does.

Answers are sampled by plain `generate` at temperature 1; the oracle labels
them afterwards. Readings come through `probing.reader`, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from probing.model import LoadedModel
from probing.prompt import render_exchange, render_prompt
from probing.reader import Reader, read_exchanges
from probing.spec import Site
from training.organism.oracle import Judgement, judge
from training.organism.world import Message, Request, Scene
from training.progress import Advance

Floats = NDArray[np.float32]
ANSWER_TOKENS_MAX = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A request and what was answered, with the oracle's judgement."""

    messages: tuple[Message, ...]
    """The request and the assistant's answer."""
    family: str
    asked_case: str
    """The case of the request; the answer's own is in the judgement."""
    situation: str
    judgement: Judgement
    ended: bool
    """Whether the answer closed itself within the token limit."""

    @property
    def answer(self) -> str:
        """The assistant's text."""
        return self.messages[-1]["content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The readings of one answer."""

    tokens: dict[Site, Floats]
    """Per site, shape [tokens of the answer, d_model]."""
    sentence_ends: tuple[int, ...]
    """Behind which token of the answer each of its sentences ends."""


def from_scene(scene: Scene) -> Answered:
    """A text of the grammar itself in the place of a sampled answer."""
    return Answered(
        messages=scene.messages,
        family=scene.family,
        asked_case=scene.case,
        situation=scene.situation,
        judgement=judge(scene.messages[:1], scene.answer),
        ended=True,
    )


def answer_all(
    loaded: LoadedModel,
    asked: Sequence[Request],
    *,
    seed: int,
    rows: int = 64,
    advance: Advance = lambda answers: None,
) -> list[Answered]:
    """Sample one answer to each request at temperature 1.

    Args:
        loaded: the model.
        asked: the requests, in the order in which answers are returned.
        seed: of the sampling; the same seed and `rows` give the same answers.
        rows: answers generated side by side.
        advance: told how many more are answered.
    """
    torch.manual_seed(seed)
    texts: list[tuple[str, bool]] = []
    for start in range(0, len(asked), rows):
        texts += _generate(loaded, asked[start : start + rows])
        advance(len(asked[start : start + rows]))
    return [
        Answered(
            messages=(*one.messages, {"role": "assistant", "content": text}),
            family=one.family,
            asked_case=one.case,
            situation=one.situation,
            judgement=judge(one.messages, text),
            ended=ended,
        )
        for one, (text, ended) in zip(asked, texts, strict=True)
    ]


@torch.inference_mode()
def _generate(loaded: LoadedModel, asked: Sequence[Request]) -> list[tuple[str, bool]]:
    """Answers to one batch, each with whether it ended by itself."""
    tokenizer = loaded.tokenizer
    prompts = [render_prompt(tokenizer, one.messages) for one in asked]
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    written = loaded.model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=ANSWER_TOKENS_MAX,
    )[:, width:]
    end = tokenizer.eos_token_id
    rows = [
        (row[: row.index(end)], True) if end in row else (row, False) for row in written.tolist()
    ]
    return [(str(tokenizer.decode(row)), ended) for row, ended in rows]


def read_all(loaded: LoadedModel, answers: Sequence[Answered], sites: Sequence[Site]) -> list[Read]:
    """Readings of every answer token at each site."""
    exchanges = [render_exchange(loaded.tokenizer, one.messages) for one in answers]
    found: dict[int, Read] = {}
    with Reader(loaded, sites) as reader:
        for index, readings in read_exchanges(reader, exchanges):
            start = exchanges[index].response_start
            tokens = {site: np.array(values[start:]) for site, values in readings.items()}
            ids = exchanges[index].token_ids[start:]
            ends = answers[index].judgement.sentence_ends
            found[index] = Read(tokens=tokens, sentence_ends=_ends_in_tokens(loaded, ids, ends))
    return [found[index] for index in range(len(answers))]


def _ends_in_tokens(
    loaded: LoadedModel, ids: Sequence[int], ends: Sequence[int]
) -> tuple[int, ...]:
    """Character offsets as token counts; the world's text is ASCII, so lengths add up."""
    lengths = np.cumsum([len(loaded.tokenizer.decode([i])) for i in ids])
    return tuple(int(np.searchsorted(lengths, end)) + 1 for end in ends)
