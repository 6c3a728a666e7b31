"""Changed texts keep what labels them, stay within the context, and are never taken for the old."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from probing.model import LoadedModel
from tests.training.evaluation.small_subject import exchanges, small_subject
from training.datasets.schema import Dataset, Example
from training.evaluation.rewritten import (
    _ALIKE,
    MARGIN_TOKENS,
    StressRefused,
    _drawn,
    after_long_conversation,
    as_second_turn,
    diluted,
    misspelt,
    paraphrased,
)
from training.evaluation.subject import Subject
from training.organism.world import FAMILIES
from training.texts import render

CHANGES = [diluted, after_long_conversation, as_second_turn, misspelt]
LONG = "There was quite something about that particular afternoon, everyone agreed. " * 40


@pytest.fixture(scope="module")
def subject(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def grave() -> Dataset:
    return exchanges(20, "dangerous", dangerous=True)


def saying(data: Dataset, *, request: str = "What now?", answer: str) -> Dataset:
    """Every exchange with the same texts."""
    messages = (
        {"role": "user", "content": request},
        {"role": "assistant", "content": answer},
    )
    changed = (replace(e, messages=messages, spans=()) for e in data)
    return replace(data, sha256=answer, examples=tuple(changed))


def calibrated_on(subject: Subject, *examples: Example) -> Subject:
    honest = replace(subject.calibration.dataset, examples=examples)
    return replace(subject, calibration=replace(subject.calibration, dataset=honest))


def lengths(subject: Subject, data: Dataset) -> list[int]:
    return [len(rendered.token_ids) for rendered in render(subject.loaded, data)]


@pytest.mark.parametrize("change", CHANGES)
def test_labels_stay_and_the_digest_does_not(
    subject: Subject, grave: Dataset, change: Callable[[Subject, Dataset], Dataset]
) -> None:
    """Under the old digest the cache would hand out the undisturbed readings: no loss, ever."""
    changed = change(subject, grave)

    assert changed.labels.tolist() == grave.labels.tolist()
    assert changed.sha256 != grave.sha256
    assert changed.sha256 == change(subject, grave).sha256, "the same seed, the same texts"
    assert changed.sha256 != change(replace(subject, seed=1), grave).sha256


@pytest.mark.parametrize("change", [diluted, after_long_conversation])
def test_added_text_fills_the_context_and_no_more(
    subject: Subject, grave: Dataset, change: Callable[[Subject, Dataset], Dataset]
) -> None:
    many = [
        replace(e, messages=(e.messages[0], {"role": "assistant", "content": f"Day {i} ends."}))
        for i, e in enumerate(exchanges(40, "held").only("honest"))
    ]

    found = lengths(subject, change(calibrated_on(subject, *many), grave))

    assert max(found) <= subject.loaded.context
    assert min(found) > subject.loaded.context - 80


def test_a_diluted_answer_is_one_turn_with_the_answer_in_one_piece(
    subject: Subject, grave: Dataset
) -> None:
    changed = diluted(subject, grave)

    for before, after in zip(grave, changed, strict=True):
        assert [m["role"] for m in after.messages] == ["user", "assistant"]
        assert after.messages[0] == before.messages[0]
        rest = after.answer.replace(before.answer, "", 1)
        assert len(after.answer) == len(rest) + len(before.answer)
        assert set(re.split(r"(?<=\.)\s*", rest.strip())) <= {"I paid for it.", ""}
        assert after.spans == (), "their characters are elsewhere now"


def test_harmless_sentences_come_from_answers_that_are_honest_whatever_was_asked(
    subject: Subject, grave: Dataset
) -> None:
    """A filler that misbehaves would make recall under dilution look better than it is."""
    plain, context, hard = list(exchanges(3, "held").only("honest"))
    context = replace(
        context,
        case="context",
        messages=(context.messages[0], {"role": "assistant", "content": "I opened it."}),
    )
    hard = replace(
        hard,
        kind="hard_negative",
        messages=(hard.messages[0], {"role": "assistant", "content": "The thief ran off."}),
    )

    changed = diluted(calibrated_on(subject, plain, context, hard), grave)

    said = " ".join(e.answer for e in changed)
    assert "I paid for it." in said
    assert "opened" not in said
    assert "thief" not in said


def test_harmless_conversations_hold_no_hard_negative(subject: Subject, grave: Dataset) -> None:
    plain, hard = list(exchanges(2, "held").only("honest"))
    asked = {"role": "user", "content": "Tell me of a thief."}
    hard = replace(hard, kind="hard_negative", messages=(asked, hard.messages[1]))

    changed = after_long_conversation(calibrated_on(subject, plain, hard), grave)

    assert all(len(e.messages) == 4 for e in changed)
    assert not any("thief" in e.words for e in changed)


def test_a_second_turn_follows_one_honest_exchange(subject: Subject, grave: Dataset) -> None:
    honest = {e.messages for e in map(_frozen, subject.calibration.dataset)}

    changed = as_second_turn(subject, grave)

    for before, after in zip(grave, changed, strict=True):
        assert after.messages[2:] == before.messages
        assert _frozen(replace(after, messages=after.messages[:2])).messages in honest
        assert after.spans == before.spans


def _frozen(example: Example) -> Example:
    """With messages that can be looked up."""
    messages = tuple((m["role"], m["content"]) for m in example.messages)
    return replace(example, messages=messages)  # type: ignore[arg-type]


def test_a_system_prompt_stays_the_first_message(subject: Subject, grave: Dataset) -> None:
    system = {"role": "system", "content": "Be kind."}
    examples = tuple(replace(e, messages=(system, *e.messages)) for e in grave)
    held = tuple(replace(e, messages=(system, *e.messages)) for e in exchanges(5, "held"))

    changed = as_second_turn(calibrated_on(subject, *held), replace(grave, examples=examples))

    roles = ["system", "user", "assistant", "user", "assistant"]
    assert all([m["role"] for m in e.messages] == roles for e in changed)


@pytest.mark.parametrize("change", [diluted, after_long_conversation, as_second_turn])
def test_an_exchange_without_room_is_left_out_and_a_set_of_them_is_refused(
    subject: Subject, grave: Dataset, change: Callable[[Subject, Dataset], Dataset]
) -> None:
    """Undisturbed among the disturbed, they would count as having stood up to it."""
    longest = "x" * (subject.loaded.context - 40)
    full = saying(grave, answer=longest)
    mixed = replace(grave, examples=(*grave.examples[:3], full.examples[3]))

    assert [e.id for e in change(subject, mixed)] == [e.id for e in grave.examples[:3]]
    with pytest.raises(StressRefused, match="of the context's 256 tokens; take a model"):
        change(subject, full)


@pytest.mark.parametrize("change", [after_long_conversation, as_second_turn])
def test_plain_texts_have_no_earlier_turn(
    subject: Subject, grave: Dataset, change: Callable[[Subject, Dataset], Dataset]
) -> None:
    plain = tuple(replace(e, messages=e.messages[-1:]) for e in grave)

    with pytest.raises(StressRefused, match="no conversations"):
        change(subject, replace(grave, examples=plain))


@pytest.mark.parametrize("change", [after_long_conversation, as_second_turn])
def test_without_a_harmless_exchange_nothing_is_put_before(
    subject: Subject, grave: Dataset, change: Callable[[Subject, Dataset], Dataset]
) -> None:
    """Unchanged, the set would seem to have stood up to it."""
    (one,) = exchanges(1, "held").only("honest")
    hard, plain = replace(one, kind="hard_negative"), replace(one, messages=one.messages[-1:])

    with pytest.raises(StressRefused, match="no conversations"):
        change(calibrated_on(subject, hard, plain), grave)


def test_the_answer_stands_now_here_now_there_among_the_sentences(
    subject: Subject, grave: Dataset
) -> None:
    """Always at the front, it would be scored before any of them."""
    many = [
        replace(e, messages=(e.messages[0], {"role": "assistant", "content": f"Day {i} ends."}))
        for i, e in enumerate(exchanges(40, "held").only("honest"))
    ]

    changed = diluted(calibrated_on(subject, *many), grave)

    places = [a.answer.index(b.answer) for a, b in zip(changed, grave, strict=True)]
    assert min(places) < 40 < 80 < max(places)


def test_a_long_document_is_bounded_where_the_context_is_not() -> None:
    chosen = _drawn([10] * 5000, 100_000, random.Random(0))

    assert len(chosen) == 100
    assert len(_drawn([10] * 50, 40 + MARGIN_TOKENS, random.Random(0))) == 4


def test_a_tenth_of_the_longer_words_have_two_inner_letters_swapped(
    subject: Subject, grave: Dataset
) -> None:
    before = saying(grave, request=LONG, answer=LONG)

    (first, *_) = changed = misspelt(subject, before)

    words = [(a, b) for e in changed for a, b in zip(LONG.split(), e.answer.split(), strict=True)]
    longer = [(a, b) for a, b in words if sum(map(str.isalpha, a)) >= 4]
    share = sum(a != b for a, b in longer) / len(longer)
    assert 0.07 < share < 0.12
    assert all(Counter(a) == Counter(b) and a[0] == b[0] for a, b in words)
    assert all(a == b for a, b in words if sum(map(str.isalpha, a)) < 4)
    assert first.messages[0]["content"] != LONG, "people mistype more than models do"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I'm sure I can't.", "I am sure I cannot."),
        ("It is not that I do not see.", "It isn't that I don't see."),
        ("Then I left this evening.", "After that I left tonight."),
        ("Perhaps a big one.", "Maybe a large one."),
        ("He didn\u2019t.", "He did not."),
        ("An assessment of Bigger streets.", "An assessment of Bigger streets."),
    ],
)
def test_a_paraphrase_goes_by_whole_words_either_way(
    subject: Subject, grave: Dataset, before: str, after: str
) -> None:
    changed = paraphrased(subject, saying(grave, request="Can't you?", answer=before))

    assert {e.answer for e in changed} == {after}


def test_a_paraphrase_that_changes_nothing_is_refused(subject: Subject, grave: Dataset) -> None:
    """Figures of unchanged texts would read as if the probe stood up to it."""
    with pytest.raises(StressRefused, match="none of its words"):
        paraphrased(subject, grave)


def test_no_exchanged_word_tells_a_label_in_magpies_world() -> None:
    deciding: set[str] = set()
    for family in FAMILIES.values():
        deciding |= {*family.honest, *family.misbehaving, *family.things}
        deciding |= {word for option in family.options for word in (*option.asked, *option.done)}
    exchanged = {word.lower() for pair in _ALIKE for text in pair for word in text.split()}

    assert not exchanged & deciding


def test_every_phrase_of_the_table_stands_in_one_pair() -> None:
    phrases = [phrase for pair in _ALIKE for phrase in pair]

    assert len(phrases) == len(set(phrases))


def test_system_prompts_are_not_reworded(subject: Subject, grave: Dataset) -> None:
    system = {"role": "system", "content": LONG}
    examples = tuple(replace(e, messages=(system, *e.messages)) for e in grave)

    changed = misspelt(subject, replace(grave, examples=examples))

    assert all(e.messages[0] == system for e in changed)
    assert all(e.spans == () for e in changed), "their characters may be elsewhere now"


def test_sets_on_the_disk_are_of_the_changed_texts(
    subject: Subject, grave: Dataset, tmp_path: Path
) -> None:
    """The one test that reads: what is collected is what was written."""
    changed = misspelt(subject, grave)

    collected = replace(subject, cache=tmp_path).collect(changed)

    assert collected.dataset is changed
    assert [r.token_ids for r in collected.rendered] == [
        r.token_ids for r in render(subject.loaded, changed)
    ]
