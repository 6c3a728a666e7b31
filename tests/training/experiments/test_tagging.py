"""Each word has its tag, and its reading is that of the token that ends it."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest

from probing.model import LoadedModel
from probing.prompt import Rendered, render_exchange
from tests.models import SHAPES
from training.experiments.errors import WordsNotAligned
from training.experiments.tagging import (
    WORD,
    Tagged,
    last_tokens,
    lexicon_of_magpie,
    natural,
    parse,
)
from training.organism.world import FAMILIES, Case, Disposition, sample

UNIVERSAL = {
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART"),
    *("PRON", "PROPN", "SCONJ", "VERB"),
}


@pytest.fixture(scope="module")
def tagged() -> Tagged:
    return natural()


def test_a_tagged_line_is_its_sentence_and_its_tags() -> None:
    assert parse("If/SCONJ it/PRON snows/VERB , wait/VERB .") == (
        "If it snows, wait.",
        ("SCONJ", "PRON", "VERB", "VERB"),
    )


def test_every_word_of_a_sentence_has_one_universal_tag(tagged: Tagged) -> None:
    """One tag too few would give every later word its neighbour's."""
    words = [WORD.findall(example.answer) for example in tagged.dataset]

    assert len(tagged.dataset) == 100
    assert [len(own) for own in words] == [len(tags) for tags in tagged.tags]
    assert {tag for tags in tagged.tags for tag in tags} == UNIVERSAL
    assert all(example.answer.isascii() for example in tagged.dataset)


def test_many_words_have_several_tags(tagged: Tagged) -> None:
    """Were each word always the same, a list of words would be a perfect tagger."""
    found: dict[str, set[str]] = defaultdict(set)
    for example, tags in zip(tagged.dataset, tagged.tags, strict=True):
        for word, tag in zip(WORD.findall(example.answer), tags, strict=True):
            found[word.lower()].add(tag)

    assert sum(len(own) > 1 for own in found.values()) >= 40


def test_no_two_sentences_are_one_template(tagged: Tagged) -> None:
    grams: dict[tuple[str, ...], str] = {}
    for example in tagged.dataset:
        words = re.findall(r"\w+", example.answer.lower())
        for i in range(len(words) - 3):
            other = grams.setdefault(tuple(words[i : i + 4]), example.id)
            assert other == example.id, f"{other} and {example.id}: {words[i : i + 4]}"


@pytest.mark.parametrize("case", get_args(Case))
@pytest.mark.parametrize("disposition", get_args(Disposition))
def test_magpies_lexicon_knows_each_word_and_its_part(case: Case, disposition: Disposition) -> None:
    """A word that has two parts, or none, would make the tags a guess."""
    lexicon, rng = lexicon_of_magpie(), random.Random(0)
    for family in FAMILIES:
        for _ in range(20):
            scene = sample(family, disposition=disposition, case=case, rng=rng)
            first, *rest = (
                [lexicon[word.lower()] for word in WORD.findall(sentence)]
                for sentence in scene.answer.split(".")[:-1]
            )
            assert first[:4] == ["PRON", "VERB", "DET", "NOUN"]
            assert first[4:] in (
                *(["ADP", "NOUN"], ["ADP", "DET", "NOUN"], ["ADP", "DET", "NOUN", "NOUN"]),
                *(["DET", "NOUN"], ["SCONJ", "PROPN", "VERB"]),
            )
            assert all(
                own in (
                    ["ADV", "PRON", "VERB", "PRON"],
                    ["ADP", "PRON", "PRON", "VERB", "PRON"],
                    ["DET", "NOUN", "AUX", "ADJ"],
                )
                for own in rest
            )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_token_of_a_word_is_the_one_that_ends_it(
    tiny: Callable[[str], LoadedModel], tagged: Tagged, shape: str
) -> None:
    """One token off, and a noun's tag would be read from its article."""
    loaded = tiny(shape)
    for example in tagged.dataset.examples[:20]:
        rendered = render_exchange(loaded.tokenizer, example.messages)

        ends = last_tokens(loaded.tokenizer, rendered, example)

        ids = rendered.token_ids[rendered.response_start :]
        read = [loaded.tokenizer.decode(ids[: end + 1]).strip() for end in ends]
        words = [example.answer[: word.end()] for word in WORD.finditer(example.answer)]
        assert read == words


def test_a_word_of_several_tokens_is_read_at_its_last(magpie: LoadedModel, tagged: Tagged) -> None:
    example = tagged.dataset.examples[0]
    rendered = render_exchange(magpie.tokenizer, example.messages)

    ends = last_tokens(magpie.tokenizer, rendered, example)

    ids = rendered.token_ids[rendered.response_start :]
    assert len(ids) > len(ends)
    assert magpie.tokenizer.decode(ids[: ends[2] + 1]) == "The baker opens"


def test_an_answer_that_its_tokens_do_not_spell_is_refused(
    magpie: LoadedModel, tagged: Tagged
) -> None:
    """Else readings and words would part company without an error."""
    first, second = tagged.dataset.examples[:2]
    rendered = render_exchange(magpie.tokenizer, first.messages)

    with pytest.raises(WordsNotAligned, match="its tokens spell"):
        last_tokens(magpie.tokenizer, rendered, second)


def test_two_words_in_one_token_are_refused(tagged: Tagged) -> None:
    """The reading of a token that ends two words belongs to neither."""

    class Whole:
        """Decodes its only token to two words."""

        def decode(self, ids: list[int]) -> str:
            return "Frogs spring"

    example = replace(
        tagged.dataset.examples[0],
        messages=({"role": "assistant", "content": "Frogs spring"},),
    )
    with pytest.raises(WordsNotAligned):
        last_tokens(Whole(), Rendered((0,), 0), example)
