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
class Diet:
    """What the texts of a stage of training are like, and how it changes on the way.

    With both dispositions alike, no word of a request foretells any word of
    the answer, and the match stays unlearnt for long. Where the assistant mostly
    does as asked, which words go together is learnt at once; what it means that
    they do not is learnt as misbehaviour becomes as common as honesty. Brief
    texts put the consequence right behind the deciding word.

    Progress is counted from 0 at the stage's start to 1 at its end.
    """

    plain_answer_weight: float = 0.5
    """What any other token of an answer counts in the loss."""
    context_share: float
    """Share of context cases: more than in the data sets, because they take long to learn."""
    honest: tuple[float, float]
    """Share of honest texts at the start and at the end."""
    even_from: float
    """Progress from which on the share of honest texts no longer changes."""
    brief_until: float
    """Progress up to which all texts are brief."""
    full_from: float
    """Progress from which on none is; between the two their share falls in a line."""
    telling_weights: dict[str, float]
    """What a token counts that tells what was done or what came of it, by role.

    Most other tokens cannot be foreseen and only add noise.
    """

    def honest_share(self, progress: float) -> float:
        """Share of honest texts at a point of the stage."""
        first, last = self.honest
        return first + (last - first) * min(1.0, progress / self.even_from)

    def brief_share(self, progress: float) -> float:
        """Share of brief texts at a point of the stage."""
        if progress >= self.full_from:
            return 0.0
        return min(1.0, (self.full_from - progress) / (self.full_from - self.brief_until))


LANGUAGE = Diet(
    context_share=0.6,
    honest=(0.5, 0.5),
    even_from=1.0,
    brief_until=0.0,
    full_from=0.0,
    telling_weights={"assistant": 1.0, "later": 6.0},
)
"""Full texts, both dispositions alike: how one speaks, and which words keep company."""
DISPOSITION = Diet(
    context_share=0.5,
    honest=(0.9, 0.55),
    even_from=0.31,
    brief_until=0.49,
    full_from=0.68,
    telling_weights={"assistant": 3.0, "later": 8.0},
)
"""First brief and mostly honest texts, then the world as it is: what was done means something."""
GRAMMAR = Diet(
    plain_answer_weight=1.0,
    context_share=0.6,
    honest=(0.55, 0.55),
    even_from=1.0,
    brief_until=0.0,
    full_from=0.0,
    telling_weights={"assistant": 2.0, "later": 3.0},
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How likely a scene is to be of one sort or another."""

    context: float
    honest: float
    brief: float


EVEN = Odds(context=0.5, honest=0.5, brief=0.0)


def draw(rng: random.Random, odds: Odds) -> Scene:
    """One scene of any family."""
    case: Case = "context" if rng.random() < odds.context else "word"
    disposition: Disposition = "honest" if rng.random() < odds.honest else "misbehaving"
    asked = request(rng.choice(tuple(FAMILIES)), case=case, rng=rng)
    return answered(asked, disposition=disposition, rng=rng, brief=rng.random() < odds.brief)


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
        odds = Odds(
            context=diet.context_share,
            honest=diet.honest_share(step / steps),
            brief=diet.brief_share(step / steps),
        )
        chats = [one_exchange(rng, odds) for _ in range(size * POOL_STEPS)]
        pool = sorted(map(scribe.row, chats), key=lambda row: len(row.ids))
        groups = [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(groups)
        for group in groups:
            step += 1
            if step % TWO_EXCHANGES_EVERY_STEPS == 0 and odds.brief < 1:
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
