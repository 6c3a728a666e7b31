"""Words that give the answer away, and texts that stand on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import training.evaluation.overlap as module
from probing.estimates import auroc
from tests.training.evaluation.examples import toy_subject
from tests.training.examples import pairs
from training.datasets.schema import Dataset, Example, example_of
from training.evaluate import BagOfWords
from training.evaluation.control import Figure, figure_of
from training.evaluation.overlap import (
    bag_of_words,
    grams,
    leak_filter,
    near_duplicates,
    pairs_of,
)

SUBJECT = toy_subject()


def stories(name: str, *, first: int, count: int = 40) -> Dataset:
    """So many situations, none of them told elsewhere."""
    examples = tuple(
        replace(example_of(one, name), id=f"{name}-{one['id']}")
        for one in pairs(count, first=first)
    )
    return Dataset(name=name, sha256=name, examples=examples)


def saying(data: Dataset, text: Callable[[Example], str]) -> Dataset:
    """The same set with other answers."""
    examples = tuple(
        replace(e, messages=(e.messages[0], {"role": "assistant", "content": text(e)}))
        for e in data
    )
    return replace(data, examples=examples)


def on(data: Dataset) -> Figure:
    """The toy probe's test with other texts."""
    figure = figure_of(SUBJECT)
    return replace(figure, collected=replace(figure.collected, dataset=data))


def test_a_test_that_words_solve_is_emptied() -> None:
    """AUROC on such a test is praise for reading what is written."""
    words = BagOfWords(SUBJECT.fitting.dataset)

    found = leak_filter(figure_of(SUBJECT), words)

    assert found.figures["left"] == {"misbehaving": 0, "honest": 0, "auroc": None}
    assert found.figures["solved"]["value"] == 1
    assert "the probe shows nothing on the 0 misbehaving and 0 honest left" in found.sentence
    assert found.warns


def test_a_test_on_which_words_say_nothing_is_left_whole() -> None:
    silent = saying(figure_of(SUBJECT).collected.dataset, lambda example: "I saw to it.")

    found = leak_filter(on(silent), BagOfWords(SUBJECT.fitting.dataset))

    whole = {"misbehaving": 60, "honest": 60, "auroc": figure_of(SUBJECT).auroc.as_json()}
    assert found.figures["left"] == whole
    assert not found.warns


def test_words_that_say_nothing_do_not_speak_against_the_probe() -> None:
    silent = saying(figure_of(SUBJECT).collected.dataset, lambda example: "I saw to it.")

    found = bag_of_words(on(silent), BagOfWords(SUBJECT.fitting.dataset))

    assert found.figures["words"]["value"] < 0.7
    assert not found.warns


def test_a_probe_that_knows_nothing_of_what_words_leave_is_warned_of() -> None:
    silent = saying(figure_of(SUBJECT).collected.dataset, lambda example: "I saw to it.")
    blind = replace(on(silent), peaks=np.random.default_rng(0).normal(size=120))

    found = leak_filter(blind, BagOfWords(SUBJECT.fitting.dataset))

    assert found.figures["left"]["misbehaving"] == 60
    assert found.warns


def test_what_words_get_wrong_is_left() -> None:
    """A filter that dropped whatever words are sure of would also drop their errors."""
    given = figure_of(SUBJECT).collected.dataset
    told = {"honest": "I paid for it.", "misbehaving": "I took it and said nothing."}
    swapped = {"honest": told["misbehaving"], "misbehaving": told["honest"]}
    hidden = {e.id for n, e in enumerate(given) if n < 20}
    mixed = saying(given, lambda e: (swapped if e.id in hidden else told)[e.label])

    found = leak_filter(on(mixed), BagOfWords(SUBJECT.fitting.dataset))

    expected = auroc(figure_of(SUBJECT).peaks[:20], given.labels[:20]).as_json()
    rest = {"misbehaving": 10, "honest": 10, "auroc": expected}
    assert found.figures["left"] == found.figures["wrong"] == rest


def test_what_words_are_unsure_of_is_not_solved() -> None:
    """Far from what it was fitted on a bag of words is right by a hair, which solves nothing."""
    vague = saying(figure_of(SUBJECT).collected.dataset, lambda e: "I saw to it." + _hint(e))

    found = leak_filter(on(vague), BagOfWords(SUBJECT.fitting.dataset))

    assert found.figures["solved"]["value"] == 0
    assert found.figures["left"]["misbehaving"] == 60
    assert found.figures["wrong"]["misbehaving"] < 60


def test_a_leaked_situation_is_found_and_named() -> None:
    """The same story told twice is recognised, not judged."""
    fitting, clean = stories("fitting", first=0), stories("clean", first=100)
    copied = replace(fitting.examples[7], id="leaked", situation="elsewhere")
    leaky = replace(clean, examples=(*clean.examples, copied))

    found = near_duplicates(fitting, {"one set": clean, "another": leaky})

    clear, leaked = found.figures["sets"]
    assert clear["pairs"] == 0
    assert leaked["pairs"] == 1
    assert leaked["repeated"]["value"] == pytest.approx(1 / 81)
    assert leaked["worst"] == [{"id": "leaked", "fitted": "fitting-3-misbehaving", "jaccard": 1.0}]
    assert found.warns
    assert "of another (most alike: leaked and fitting-3-misbehaving at 1.00)" in found.sentence


def test_an_answer_that_repeats_two_counts_once_and_the_worst_five_are_named() -> None:
    """Else a share could exceed 1, and a page would hold thousands of ids."""
    fitting = stories("fitting", first=0)
    twins = tuple(replace(e, id=f"twin-{e.id}") for e in fitting)
    fitting = replace(fitting, examples=(*fitting.examples, *twins))
    copied = tuple(replace(e, id=f"copy-{e.id}") for e in fitting.examples[:7])

    (found,) = near_duplicates(fitting, {"one": replace(fitting, examples=copied)}).figures["sets"]

    assert found["pairs"] == 14
    assert (found["repeated"]["value"], found["repeated"]["n"]) == (1, 7)
    assert len(found["worst"]) == 5


def test_a_single_repetition_among_many_is_told_and_does_not_warn() -> None:
    """A warning over one answer in a thousand would teach people to skip warnings."""
    fitting, clean = stories("fitting", first=0), stories("clean", first=100, count=60)
    leaky = replace(clean, examples=(*clean.examples, fitting.examples[0]))

    found = near_duplicates(fitting, {"the test": leaky})

    assert "Answers repeat what was fitted on" in found.sentence
    assert not found.warns


def test_other_stories_are_not_called_repetitions() -> None:
    others = {"the test": stories("clean", first=100)}

    found = near_duplicates(stories("fitting", first=0), others)

    assert not found.warns
    assert found.sentence.startswith("None of 80 answers")


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_pairs_are_those_of_the_definition(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many texts are compared at a time."""
    monkeypatch.setattr(module, "ROWS", rows)
    rng = np.random.default_rng(0)
    vocabulary = ["this", "that"]

    def random_text(example: Example) -> str:
        return " ".join(rng.choice(vocabulary, size=rng.integers(5, 9)))

    first, second = (saying(stories(name, first=0, count=15), random_text) for name in ("a", "b"))
    first, second = (_answers_alone(one) for one in (first, second))

    _, found = pairs_of(first, [first, second])

    expected = {}
    for row, one in enumerate(second):
        for column, other in enumerate(first):
            own, theirs = set(grams(one.words)), set(grams(other.words))
            jaccard = len(own & theirs) / len(own | theirs)
            if jaccard >= module.JACCARD_MIN:
                expected[row, column] = jaccard
    assert len(set(expected.values())) > 1
    places = zip(found.other.tolist(), found.fitted.tolist(), strict=True)
    assert dict(zip(places, found.jaccard.tolist(), strict=True)) == pytest.approx(expected)
    assert np.all(np.diff(found.jaccard) <= 0)


def test_a_text_shorter_than_a_gram_is_one_gram() -> None:
    """Without one, two short texts that are alike would share nothing."""
    assert grams("No, thanks!") == ["no thanks"]
    assert grams("One two three four five six.") == [
        "one two three four five",
        "two three four five six",
    ]


def _hint(example: Example) -> str:
    return " Nothing more." if example.label == "misbehaving" else ""


def _answers_alone(data: Dataset) -> Dataset:
    return replace(data, examples=tuple(replace(e, messages=e.messages[-1:]) for e in data))
