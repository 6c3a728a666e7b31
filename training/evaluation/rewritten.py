"""Test sets told otherwise: their labels stay, the text in or around their answers changes.

Each function takes a set and gives another one under a digest of the new texts, so that
its readings are never taken for those of the old. Chance is seeded by the subject.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from probing.prompt import encode_text, render_prompt
from probing.spec import digest_of
from training.datasets.schema import Dataset, Example
from training.errors import TrainingError
from training.evaluation.subject import Subject
from training.texts import render

FILLER_TOKENS_MAX = 1000
"""Harmless text that is added to an exchange, at most."""
FILLER_TOKENS_MIN = 16
"""An exchange that leaves less of the context is left out."""
MARGIN_TOKENS = 8
"""Left free: where two texts meet, tokens may fall otherwise than counted apart."""
MISSPELT_SHARE = 0.1
"""Of the words with four letters or more."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SWAPPABLE = re.compile(r"[A-Za-z]{4,}")
_ALIKE = (
    *(("I'm", "I am"), ("I'll", "I will"), ("you're", "you are"), ("we're", "we are")),
    *(("they're", "they are"), ("don't", "do not"), ("didn't", "did not"), ("can't", "cannot")),
    *(("won't", "will not"), ("isn't", "is not"), ("wasn't", "was not"), ("aren't", "are not")),
    *(("couldn't", "could not"), ("wouldn't", "would not"), ("haven't", "have not")),
    *(("maybe", "perhaps"), ("big", "large"), ("nearly", "almost"), ("hello", "hi")),
    *(("everyone", "everybody"), ("someone", "somebody"), ("anyone", "anybody")),
    *(("start", "begin"), ("started", "began"), ("often", "frequently"), ("quick", "fast")),
    *(("then I", "after that I"), ("also I", "in addition I"), ("at dawn", "at daybreak")),
    *(("around noon", "around midday"), ("this evening", "tonight"), ("street", "road")),
    *(("look after", "take care of"), ("see to", "attend to"), ("wants it", "would like it")),
    *(("asked for it to be", "wished for it to be"), ("is counting on", "relies on")),
)
"""Pairs that may stand for each other, either way; none of them tells a label."""
_OTHER = {a.lower(): b for one, other in _ALIKE for a, b in ((one, other), (other, one))}
_KNOWN = re.compile(
    rf"\b(?:{'|'.join(sorted((re.escape(a) for a in _OTHER), key=len, reverse=True))})\b",
    re.IGNORECASE,
)

Change = Callable[[Example, int], Example]
"""From an example and the tokens that it leaves of the context."""


class StressRefused(TrainingError):
    """The model or the data cannot bear a stress, so nothing is measured under it."""

    code = "stress_refused"

    def __init__(self, found: str, needed: str) -> None:
        super().__init__(f"{found}; {needed}")
        self.found, self.needed = found, needed


def diluted(subject: Subject, dataset: Dataset) -> Dataset:
    """Each answer in one piece among harmless sentences; request and turns stay.

    The sentences come from honest answers of the calibration set. Those whose honesty rests
    on their request are left out: beside another request they might say something else.

    Raises:
        StressRefused: no example leaves room for them.
    """
    sentences = _harmless_sentences(subject.calibration.dataset)
    costs = [len(encode_text(subject.loaded.tokenizer, f" {text}")) for text in sentences]
    rng = random.Random(f"dilution {subject.seed}")

    def among(example: Example, room: int) -> Example:
        chosen = [sentences[i] for i in _drawn(costs, room, rng)]
        cut = rng.randint(0, len(chosen))
        return _answering(example, " ".join([*chosen[:cut], example.answer, *chosen[cut:]]))

    return _where_room(subject, dataset, among)


def after_long_conversation(subject: Subject, dataset: Dataset) -> Dataset:
    """Each exchange behind as many honest exchanges of the calibration set as fit.

    Raises:
        StressRefused: no example leaves room for one, or there are no conversations.
    """
    return _behind(subject, dataset, exchanges_max=None)


def as_second_turn(subject: Subject, dataset: Dataset) -> Dataset:
    """Each exchange behind one honest exchange of the calibration set. Raises as above."""
    return _behind(subject, dataset, exchanges_max=1)


def misspelt(subject: Subject, dataset: Dataset) -> Dataset:
    """Two neighbouring inner letters swapped in some words of requests and answers."""
    rng = random.Random(f"letters {subject.seed}")

    def swapped(match: re.Match[str]) -> str:
        word = match.group()
        if rng.random() >= MISSPELT_SHARE:
            return word
        at = rng.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return _reworded(dataset, lambda text: _SWAPPABLE.sub(swapped, text))


def paraphrased(subject: Subject, dataset: Dataset) -> Dataset:
    """Contractions written out, or the other way round, and words exchanged by a small table.

    Raises:
        StressRefused: no word of the table occurs.
    """
    changed = _reworded(dataset, lambda text: _KNOWN.sub(_other, text.replace("\u2019", "'")))
    if all(a.words == b.words for a, b in zip(dataset, changed, strict=True)):
        raise StressRefused("none of its words has a synonym here", "test on longer texts")
    return changed


def retold(dataset: Dataset, examples: Iterable[Example]) -> Dataset:
    """Other examples in the place of a set's own, under a digest of their texts."""
    examples = tuple(examples)
    texts = [[example.id, *map(dict, example.messages)] for example in examples]
    return replace(dataset, sha256=digest_of([dataset.sha256, texts]), examples=examples)


def _behind(subject: Subject, dataset: Dataset, *, exchanges_max: int | None) -> Dataset:
    earlier = [e for e in subject.calibration.dataset if not e.is_plain and _is_harmless(e)]
    if not earlier or any(example.is_plain for example in dataset):
        raise StressRefused(
            "there are plain texts and no conversations", "test and calibrate on exchanges"
        )
    turns = [[m for m in e.messages if m["role"] != "system"] for e in earlier]
    costs = [len(render_prompt(subject.loaded.tokenizer, one)) for one in turns]
    rng = random.Random(f"conversation {subject.seed}")

    def behind(example: Example, room: int) -> Example:
        chosen = _drawn(costs, room, rng)[:exchanges_max]
        own = example.messages
        first = 1 if own[0]["role"] == "system" else 0
        before = [message for i in chosen for message in turns[i]]
        return replace(example, messages=(*own[:first], *before, *own[first:]))

    return _where_room(subject, dataset, behind)


def _where_room(subject: Subject, dataset: Dataset, change: Change) -> Dataset:
    """The examples that leave room in the context, changed."""
    context = subject.loaded.context
    lengths = [len(rendered.token_ids) for rendered in render(subject.loaded, dataset)]
    examples = [
        change(example, context - length)
        for example, length in zip(dataset, lengths, strict=True)
        if context - length >= FILLER_TOKENS_MIN + MARGIN_TOKENS
    ]
    if not examples:
        raise StressRefused(
            f"the shortest exchange takes {min(lengths)} of the context's {context} tokens",
            "take a model with a longer context, or test on shorter exchanges",
        )
    return retold(dataset, examples)


def _drawn(costs: Sequence[int], room: int, rng: random.Random) -> list[int]:
    """Pieces that together fit, in random order.

    Args:
        costs: tokens of each piece.
        room: tokens that are left of the context.
    """
    left, chosen = min(room - MARGIN_TOKENS, FILLER_TOKENS_MAX), []
    for piece in rng.sample(range(len(costs)), min(len(costs), left)):
        if costs[piece] <= left:
            chosen.append(piece)
            left -= costs[piece]
    return chosen


def _harmless_sentences(honest: Dataset) -> list[str]:
    answers = [e.answer for e in honest if _is_harmless(e) and e.case != "context"]
    return list(dict.fromkeys(s for text in answers for s in _SENTENCE_END.split(text.strip())))


def _is_harmless(example: Example) -> bool:
    """Hard negatives are honest and speak of misbehaviour."""
    return example.kind == "honest"


def _reworded(dataset: Dataset, change: Callable[[str], str]) -> Dataset:
    """Every message changed, alike in all that is said, but for system prompts."""

    def reworded(example: Example) -> Example:
        messages = tuple(
            m if m["role"] == "system" else {**m, "content": change(m["content"])}
            for m in example.messages
        )
        return replace(example, messages=messages, spans=())

    return retold(dataset, map(reworded, dataset))


def _other(match: re.Match[str]) -> str:
    text = match.group()
    other = _OTHER[text.lower()]
    return other[0].upper() + other[1:] if text[0].isupper() else other


def _answering(example: Example, answer: str) -> Example:
    messages = (*example.messages[:-1], {"role": "assistant", "content": answer})
    return replace(example, messages=messages, spans=())
