"""Answers whose every word has a part of speech, and the tokens that read them.

Tags are the universal ones of Nivre et al., "Universal Dependencies v1: A Multilingual
Treebank Collection" (2016). Natural sentences are tagged by hand. Magpie's are tagged by its
grammar, in which each word has one part alone, so that nothing is guessed. Punctuation is
left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from probing.prompt import Rendered, Tokenizer
from training.datasets.schema import Dataset, Example
from training.experiments.errors import WordsNotAligned
from training.experiments.sets import SOURCE, TELL, lines_of
from training.organism.world import FAMILIES, MOODS, NAMES, SCENERY, TIMES

WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A set of answers with a tag for each of their words."""

    dataset: Dataset
    """What is read."""
    tags: tuple[tuple[str, ...], ...]
    """For each answer, one for each of its words."""
    groups: tuple[str, ...]
    """For each answer, what is held out with it: its sentence, or its family."""


def natural() -> Tagged:
    """Short sentences, tagged by hand; each is held out by itself."""
    digest, lines = lines_of("tagged.jsonl")
    parsed = [parse(line["tagged"]) for line in lines]
    examples = tuple(
        _example(line["id"], text) for line, (text, _) in zip(lines, parsed, strict=True)
    )
    return Tagged(
        dataset=Dataset(name="tagged sentences", sha256=digest, examples=examples),
        tags=tuple(tags for _, tags in parsed),
        groups=tuple(example.id for example in examples),
    )


def magpie(dataset: Dataset) -> Tagged:
    """Answers of Magpie's grammar; whole families are held out, and with them their words."""
    lexicon = lexicon_of_magpie()
    return Tagged(
        dataset=dataset,
        tags=tuple(
            tuple(lexicon[word.lower()] for word in WORD.findall(one.answer)) for one in dataset
        ),
        groups=tuple(example.family for example in dataset),
    )


def parse(tagged: str) -> tuple[str, tuple[str, ...]]:
    """`The/DET kettle/NOUN whistles/VERB .` as the sentence and its words' tags."""
    text, tags = "", []
    for token in tagged.split():
        word, slash, tag = token.partition("/")
        text += f" {word}" if slash else word
        tags += [tag] if slash else []
    return text.strip(), tuple(tags)


def lexicon_of_magpie() -> dict[str, str]:
    """The tag of every word that an answer of the grammar may hold, in lower case."""
    kin = FAMILIES.values()
    verbs = {verb for family in kin for verb in (*family.honest, *family.misbehaving)}
    verbs |= {verb for family in kin for option in family.options for verb in option.done}
    phrases = [phrase.split() for family in kin for phrase in family.places]
    phrases += [time.split() for time in TIMES]
    nouns = {thing for family in kin for thing in family.things} | set(SCENERY)
    by_tag = {
        "ADJ": set(MOODS),
        "ADP": {first for first, *_ in phrases} - {"this"} | {"after"},
        "ADV": {"then", "next", "also"},
        "AUX": {"was"},
        "DET": {"the", "this"},
        "NOUN": nouns | {word for _, *rest in phrases for word in rest} - {"the"},
        "PRON": {"i", "it", "that"},
        "PROPN": set(NAMES),
        "SCONJ": {"while"},
        "VERB": verbs | {"waited"},
    }
    return {word.lower(): tag for tag, words in by_tag.items() for word in words}


def last_tokens(tokenizer: Tokenizer, rendered: Rendered, example: Example) -> list[int]:
    """Which of the answer's tokens ends each of its words: by then the whole word is read.

    Raises:
        WordsNotAligned: the tokens do not spell the answer, or two words share a token.
    """
    ids = rendered.token_ids[rendered.response_start :]
    pieces = [_solid(str(tokenizer.decode([token]))) for token in ids]
    owners = [token for token, piece in enumerate(pieces) for _ in piece]
    words = list(WORD.finditer(example.answer))
    if "".join(pieces) != _solid(example.answer):
        raise WordsNotAligned(example.id, "".join(pieces), example.answer)
    ends = [owners[len(_solid(example.answer[: word.end()])) - 1] for word in words]
    if len(set(ends)) != len(ends):
        raise WordsNotAligned(example.id, " ".join(pieces), example.answer)
    return ends


def _solid(text: str) -> str:
    """The text without its spaces, which tokenizers put before, behind or nowhere."""
    return "".join(text.split())


def _example(name: str, text: str) -> Example:
    return Example(
        id=name,
        messages=(
            {"role": "user", "content": TELL},
            {"role": "assistant", "content": text},
        ),
        label="honest",
        family="tagged",
        kind="honest",
        situation=name,
        source=SOURCE,
    )
