"""Margins are the model's own log-probabilities, whatever was padded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from probing.model import LoadedModel
from tests.models import SHAPES
from tests.training.experiments.examples import study
from training.datasets.schema import Dataset
from training.errors import TextTooLong
from training.experiments.layers import Figures
from training.experiments.sets import remarks
from training.experiments.verdicts import Closed, foreseen, margins, questioned


@pytest.fixture(scope="module")
def few() -> Dataset:
    return remarks().select(range(4))


def slow(loaded: LoadedModel, ids: tuple[int, ...]) -> float:
    """The log-probability of all tokens but the first, one conversation alone."""
    with torch.inference_mode():
        logits = loaded.model(input_ids=torch.tensor([ids])).logits[0]
    chances = logits.log_softmax(-1)
    return sum(float(chances[i - 1, token]) for i, token in enumerate(ids) if i)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_margin_is_the_difference_of_two_log_probabilities(
    tiny: Callable[[str], LoadedModel], few: Dataset, shape: str
) -> None:
    """Yes and No have unequal lengths here: a padded token that counted would decide."""
    loaded = tiny(shape)
    closed = questioned(loaded, few, "So?")

    found = margins(study(loaded), closed)

    expected = [slow(loaded, one.misbehaving) - slow(loaded, one.honest) for one in closed]
    assert found == pytest.approx(expected, abs=1e-3)


def test_exchanged_ends_turn_the_sign(tiny: Callable[[str], LoadedModel], few: Dataset) -> None:
    loaded = tiny("llama")
    closed = questioned(loaded, few, "So?")
    turned = [
        Closed(example=one.example, honest=one.misbehaving, misbehaving=one.honest)
        for one in closed
    ]

    there, back = (margins(study(loaded), own) for own in (closed, turned))

    assert there == pytest.approx(-back, abs=1e-5)
    assert (there != 0).all()


def test_the_question_stands_behind_the_answer(magpie: LoadedModel, few: Dataset) -> None:
    """Asked before it, the answer would be read otherwise than a probe reads it."""
    one = questioned(magpie, few, "Did you?")[0]

    text = magpie.tokenizer.decode(one.honest)
    answer = few.examples[0].answer
    assert text.endswith(f"<|assistant|>{answer}<|end|><|user|>Did you?<|end|><|assistant|>Yes")


def test_a_conversation_beyond_the_context_is_refused(
    tiny: Callable[[str], LoadedModel], few: Dataset
) -> None:
    loaded = tiny("gpt2")
    messages = ({"role": "user", "content": "word " * 60}, *few.examples[0].messages[1:])
    long = replace(few, examples=(replace(few.examples[0], messages=messages),))

    with pytest.raises(TextTooLong, match="the model's context holds 256"):
        margins(study(loaded), questioned(loaded, long, "So?"))


def test_magpie_foresees_what_comes_of_an_act(magpie: LoadedModel, matches: Dataset) -> None:
    """Either end follows the same request and answer, and the model knows which is due."""
    closed = foreseen(magpie, matches, seed=0)

    assert Figures.of(margins(study(magpie), closed), matches.labels).auroc.low > 0.8


def test_another_text_is_none_of_magpies_world(magpie: LoadedModel, few: Dataset) -> None:
    with pytest.raises(ValueError, match="no exchange of Magpie's world"):
        foreseen(magpie, few, seed=0)
