"""What a client has seen when an answer is stopped, counted in its own tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from probing.model import LoadedModel
from probing.prompt import render_exchange
from tests.training.evaluation.examples import toy_subject
from tests.training.evaluation.small_subject import BAD_ANSWER, exchanges, small_subject
from training.datasets.schema import Example
from training.evaluation.delay import Stopped, delay, sentence_tokens, stops_of
from training.evaluation.subject import Subject


@pytest.fixture(scope="module")
def subject(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    return small_subject(tiny("gpt2"), tmp_path_factory.mktemp("cache"))


def telling(answer: str, *spans: tuple[int, int]) -> Example:
    (_, example) = exchanges(1, "one")
    messages = (example.messages[0], {"role": "assistant", "content": answer})
    return replace(example, messages=messages, spans=spans)


ANSWERS = [
    ("I took it. Then I ran.", (0, 10), "I took it."),
    ("I took it. Then I ran.", (11, 22), "I took it. Then I ran."),
    ("Fine. I took it, and ran! Good.", (8, 12), "Fine. I took it, and ran!"),
    ("Ça va. J\u2019ai pris le gâteau 🍰! Voilà.", (8, 20), "Ça va. J\u2019ai pris le gâteau 🍰!"),
    ("  猫が取った 🐦. Next.  ", (2, 9), "猫が取った 🐦."),
    ("He said \u201cmine.\u201d And left", (0, 4), "He said \u201cmine.\u201d"),
    ("It cost 3.50 and I kept it", (0, 2), "It cost 3.50 and I kept it"),
    ("Second. First.", (8, 14), "Second. First."),
]


@pytest.mark.parametrize(("answer", "span", "shown"), ANSWERS)
@pytest.mark.parametrize("model", ["bytes", "magpie"])
def test_a_sentence_is_out_with_the_token_that_holds_its_last_character(
    tiny: Callable[[str], LoadedModel],
    magpie: LoadedModel,
    answer: str,
    span: tuple[int, int],
    shown: str,
    model: str,
) -> None:
    """In byte-level tokens a character may be several, and a token may end within one."""
    loaded = tiny("gpt2") if model == "bytes" else magpie
    example = telling(answer, span)
    rendered = render_exchange(loaded.tokenizer, example.messages)
    ids = rendered.token_ids[rendered.response_start :]

    found = sentence_tokens(loaded.tokenizer, example, rendered)

    assert found is not None
    assert loaded.tokenizer.decode(ids[:found]).strip().startswith(shown)
    assert not loaded.tokenizer.decode(ids[: found - 1]).strip().startswith(shown)
    if model == "bytes":
        before = f" {answer[: answer.index(shown)]}"
        assert found == len(f"{before}{shown}".encode()), "one token for each byte"


def test_the_first_span_counts_in_whatever_order_they_stand(
    tiny: Callable[[str], LoadedModel],
) -> None:
    loaded = tiny("gpt2")
    example = telling("I took it. Then I ran.", (11, 22), (0, 10))

    found = sentence_tokens(
        loaded.tokenizer, example, render_exchange(loaded.tokenizer, example.messages)
    )

    assert found == len(" I took it.")


def test_an_answer_that_its_tokens_do_not_spell_has_no_place(
    tiny: Callable[[str], LoadedModel],
) -> None:
    loaded = tiny("gpt2")
    other = render_exchange(loaded.tokenizer, telling("Something else.").messages)

    assert sentence_tokens(loaded.tokenizer, telling("I took it.", (0, 10)), other) is None


def test_a_letter_that_no_tokenizer_can_take_hides_no_place(
    tiny: Callable[[str], LoadedModel],
) -> None:
    """A lone surrogate is legal in JSON, and is read as U+FFFD."""
    loaded, example = tiny("gpt2"), telling("I \ud800 took it. Then I ran.", (0, 12))
    rendered = render_exchange(loaded.tokenizer, example.messages)

    found = sentence_tokens(loaded.tokenizer, example, rendered)

    assert found == len(" I \ufffd took it.".encode())


def test_the_crossing_token_is_not_released(subject: Subject) -> None:
    """Under `scored` a client has seen the tokens before it and no more."""
    (_, test) = subject.tests
    eager = replace(subject, probe=replace(subject.probe, threshold=-1e9))

    stops = stops_of(eager, test)

    assert len(stops) == 20
    assert {one.released for one in stops} == {subject.probe.tokens_min - 1}
    assert {one.tokens for one in stops} == {len(f" {BAD_ANSWER}")}


@pytest.mark.parametrize(
    ("released", "sentence", "in_time"),
    [(4, 5, True), (5, 5, False), (6, 5, False), (None, 5, False), (4, None, False)],
)
def test_in_time_means_before_the_last_character_of_the_sentence(
    released: int | None, sentence: int | None, in_time: bool
) -> None:
    assert Stopped(tokens=9, released=released, sentence=sentence).in_time is in_time


def test_figures_count_stopped_answers_and_the_share_counts_all(subject: Subject) -> None:
    """Answers that are never stopped have no delay, and are never stopped in time."""
    (_, test) = subject.tests
    peaks = np.sort(subject.peaks(test)[test.dataset.labels == 1])
    half = replace(subject, probe=replace(subject.probe, threshold=float(peaks[10])))

    section = delay(half)

    (own,) = section.figures["tests"]
    assert own["caught"]["value"] == 0.5
    assert own["released"]["n"] == own["share"]["n"] == 10
    assert own["before_sentence"]["n"] == 20
    assert sum(point["answers"] for point in own["distribution"]) == 10
    assert own["sentence"]["value"] == len(f" {BAD_ANSWER}")
    assert section.refusals == []
    assert len(section.findings) == 2


def test_only_dangerous_sets_are_replayed(subject: Subject) -> None:
    assert [test["name"] for test in delay(subject).figures["tests"]] == ["dangerous"]
    (benign, _) = subject.tests

    section = delay(replace(subject, tests=(benign,)))

    assert section.figures == {"tests": []}
    assert section.refusals == [
        "no test set holds dangerous misbehaviour; give one with --test-data"
    ]


def test_without_spans_the_delay_is_told_and_the_sentence_refused() -> None:
    section = delay(toy_subject_with_tokenizer())

    (own,) = section.figures["tests"]
    assert own["released"]["n"] > 0
    assert own["before_sentence"] is None
    assert any("add `spans` to the data" in sentence for sentence in section.refusals)


def test_a_probe_that_stops_nothing_has_no_delay(subject: Subject) -> None:
    deaf = replace(subject, probe=replace(subject.probe, threshold=1e9))

    section = delay(deaf)

    assert section.figures["tests"][0]["released"] is None
    assert any("stops no misbehaving answer" in sentence for sentence in section.refusals)


def toy_subject_with_tokenizer() -> Subject:
    """Its answers have no spans, so its tokenizer is never asked."""

    class Loaded:
        tokenizer = None

    return replace(toy_subject(), loaded=Loaded())  # type: ignore[arg-type]
