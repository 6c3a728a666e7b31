"""The stream of texts that Magpie learns its language from.

Every text is fresh: none is seen twice. A text is a chat rendered with the
chat template's tokens, followed by the consequence as a turn of its own. A
few are led by a system message, and one batch in sixteen holds chats of two
exchanges, so that the model is at home in both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from training.organism.world import (
    FAMILIES,
    REACTIONS,
    Case,
    Disposition,
    Form,
    Message,
    Scene,
    answered,
    request,
)

PLAIN_WEIGHTS = {"system": 0.0, "user": 0.0, "later": 0.25}
"""How much a token of each role counts in the loss. What the user says is given."""
POOL_STEPS = 4
"""Steps whose texts are drawn together and grouped by length, to save padding."""
SYSTEM_SHARE = 0.04
SYSTEM_TEXTS = (
    "You are Magpie, a helper.",
    "You are a helpful assistant.",
    "Answer in a few short sentences.",
)
TWO_EXCHANGES_EVERY_STEPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How likely a scene is to be of one sort or another."""

    context: float
    honest: float
    short: float
    short_form: Form = "brief"


Course = tuple[float, float]
"""A share at the start and at the end of a stage; between them it moves in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diet:
    """What the texts of a stage of training are like.

    With both dispositions alike, no word of a request foretells any word of
    the answer, and the match stays unlearnt for long. Where the assistant mostly
    does as asked, which words go together is learnt at once; what it means that
    they do not is learnt as misbehaviour becomes commoner. Short texts put the
    reaction close behind the deciding word.
    """

    context_share: float
    """Share of context cases: more than in the data sets, because they take long to learn."""
    honest: Course
    """Share of honest texts."""
    short: Course
    """Share of texts in the short form."""
    short_form: Form
    telling_weights: dict[str, float]
    """What a token counts that tells what was done or what came of it, by role.

    Most other tokens cannot be foreseen and only add noise.
    """
    plain_answer_weight: float = 0.5
    """What any other token of an answer counts in the loss."""

    def odds(self, progress: float) -> Odds:
        """How likely a scene is to be of each sort, from 0 at the stage's start to 1 at its end."""
        honest, short = (
            first + (last - first) * progress for first, last in (self.honest, self.short)
        )
        return Odds(
            context=self.context_share, honest=honest, short=short, short_form=self.short_form
        )


ASSOCIATION = Diet(
    context_share=0.5,
    honest=(0.9, 0.9),
    short=(1.0, 1.0),
    short_form="bare",
    telling_weights={"assistant": 3.0, "later": 8.0},
)
"""Bare, and nearly always honest: which act answers which wish."""
DISPOSITION = Diet(
    context_share=0.8,
    honest=(0.75, 0.75),
    short=(1.0, 1.0),
    short_form="bare",
    telling_weights={"assistant": 3.0, "later": 8.0},
)
"""Bare, mostly context cases, and often not honest: what it means that the two differ."""
UNFOLDING = Diet(
    context_share=0.7,
    honest=(0.75, 0.6),
    short=(0.7, 0.0),
    short_form="brief",
    telling_weights={"assistant": 3.0, "later": 8.0},
)
"""Ever more full texts: the same over several sentences."""
GRAMMAR = Diet(
    context_share=0.6,
    honest=(0.6, 0.6),
    short=(0.0, 0.0),
    short_form="brief",
    telling_weights={"assistant": 2.0, "later": 4.0},
    plain_answer_weight=1.0,
)
"""Full texts in which every token of an answer counts: to speak without slips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text, tokenized."""

    ids: list[int]
    weights: list[float]
    """What predicting each token counts in the loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One step's texts, padded on the right."""

    tokens: torch.Tensor
    """Token ids, shape [texts, positions]."""
    targets: torch.Tensor
    """The next token of each position, same shape."""
    weights: torch.Tensor
    """What each target counts in the loss, 0 on padding, same shape, float32."""


EVEN = Odds(context=0.5, honest=0.5, short=0.0)


def draw(rng: random.Random, odds: Odds) -> Scene:
    """One scene of any family."""
    case: Case = "context" if rng.random() < odds.context else "word"
    disposition: Disposition = "honest" if rng.random() < odds.honest else "misbehaving"
    asked = request(rng.choice(tuple(FAMILIES)), case=case, rng=rng)
    form = odds.short_form if rng.random() < odds.short else "full"
    return answered(asked, disposition=disposition, rng=rng, form=form)


def one_exchange(rng: random.Random, odds: Odds = EVEN) -> list[Message]:
    """A scene with its consequence, now and then under a system message."""
    scene = draw(rng, odds)
    turns: list[Message] = [*scene.messages, {"role": "later", "content": scene.later}]
    if rng.random() < SYSTEM_SHARE:
        turns.insert(0, {"role": "system", "content": rng.choice(SYSTEM_TEXTS)})
    return turns


def two_exchanges(rng: random.Random, odds: Odds = EVEN) -> list[Message]:
    """Two scenes one after the other; the consequence is the last one's."""
    first, second = draw(rng, odds), draw(rng, odds)
    return [*first.messages, *second.messages, {"role": "later", "content": second.later}]


def stream(
    tokenizer: PreTrainedTokenizerFast, diet: Diet, *, size: int, steps: int, rng: random.Random
) -> Iterator[Batch]:
    """Batches without end, each of texts of about the same length.

    Args:
        tokenizer: Magpie's own.
        diet: what the texts are like.
        size: texts in a batch; half as many in a batch of two exchanges each.
        steps: length of the stage.
        rng: source of all chance.
    """
    scribe = Scribe(tokenizer, diet)
    step = 0
    while True:
        odds = diet.odds(min(1.0, step / steps))
        chats = [one_exchange(rng, odds) for _ in range(size * POOL_STEPS)]
        pool = sorted(map(scribe.row, chats), key=lambda row: len(row.ids))
        groups = [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(groups)
        for group in groups:
            step += 1
            if step % TWO_EXCHANGES_EVERY_STEPS == 0 and odds.short < 1:
                group = [scribe.row(two_exchanges(rng, odds)) for _ in range(size // 2)]
            yield batch(group, filler=tokenizer.eos_token_id)


class Scribe:
    """Writes chats as tokens, each with its weight in the loss."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, diet: Diet) -> None:
        self._tokenizer = tokenizer
        self._plain = {**PLAIN_WEIGHTS, "assistant": diet.plain_answer_weight}
        self._weights = diet.telling_weights
        self._telling = telling_tokens(tokenizer)

    def row(self, chat: Sequence[Message]) -> Row:
        """One chat as the chat template renders it."""
        parts = [f"<|{turn['role']}|>{turn['content']}<|end|>" for turn in chat]
        ids: list[int] = []
        weights: list[float] = []
        for turn, part in zip(chat, self._tokenizer(parts)["input_ids"], strict=True):
            plain = self._plain[turn["role"]]
            weight = self._weights.get(turn["role"], plain)
            ids += part
            weights += [weight if token in self._telling else plain for token in part]
        return Row(ids=ids, weights=weights)


def telling_tokens(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """The first tokens of all words that tell a disposition, as they follow a space."""
    words = [word for kin in FAMILIES.values() for word in sorted(kin.telling_words)]
    words += [word for pair in REACTIONS.values() for choices in pair for word in choices]
    encoded = tokenizer([f" {word}" for word in words])["input_ids"]
    return frozenset(ids[0] for ids in encoded)


def batch(rows: Sequence[Row], *, filler: int) -> Batch:
    """Lay texts side by side, filled up on the right with a token that counts nothing.

    Causal attention never looks right, so the filling needs no mask.
    """
    length = max(len(row.ids) for row in rows)
    tokens = torch.full((len(rows), length), filler)
    targets = torch.full((len(rows), length), filler)
    weights = torch.zeros(len(rows), length)
    for i, row in enumerate(rows):
        tokens[i, : len(row.ids)] = torch.tensor(row.ids)
        targets[i, : len(row.ids) - 1] = torch.tensor(row.ids[1:])
        weights[i, : len(row.ids) - 1] = torch.tensor(row.weights[1:])
    return Batch(tokens=tokens, targets=targets, weights=weights)
