"""Other forms of a model have fingerprints of their own, and the model itself stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.pytorch_utils import Conv1D

from probing.model import LoadedModel, describe, load_model
from tests.training.evaluation.small_subject import SITE, exchanges, small_subject
from training.collect import Collected
from training.datasets.bundled import magpie as magpie_sets
from training.datasets.schema import Dataset
from training.errors import EmptyClass
from training.evaluation.reloaded import (
    at_temperature,
    int8_and_back,
    plainly_written,
    resampled,
    rounded,
)
from training.evaluation.rewritten import StressRefused
from training.organism.oracle import judge

TEMPLATE = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}" + (
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TEST = exchanges(20, "dangerous", dangerous=True)


def readings(collected: Collected) -> np.ndarray:
    return np.concatenate([block for _, block in collected.blocks(SITE)])


@pytest.fixture(scope="module")
def templated(tiny: Callable[[str], LoadedModel]) -> LoadedModel:
    tokenizer = copy.deepcopy(tiny("gpt2").tokenizer)
    tokenizer.chat_template = TEMPLATE
    return load_model(tiny("gpt2").model, tokenizer=tokenizer)


def test_plain_lines_are_what_a_model_without_a_template_would_read(
    tiny: Callable[[str], LoadedModel], templated: LoadedModel, tmp_path: Path
) -> None:
    """The answer alone is scored, behind `User: ...`; the model's own template is left alone."""
    subject = small_subject(templated, tmp_path)

    known = len(list(tmp_path.iterdir()))

    found = plainly_written(subject)(TEST)

    expected = small_subject(tiny("gpt2"), tmp_path.with_name("other")).collect(TEST)
    assert found.rendered == expected.rendered
    np.testing.assert_array_equal(readings(found), readings(expected))
    assert subject.collect(TEST).rendered != found.rendered
    assert len(list(tmp_path.iterdir())) == known + 1, "under a fingerprint of their own"
    assert templated.tokenizer.chat_template == TEMPLATE


def test_plain_lines_are_refused_where_they_are_the_models_own(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    with pytest.raises(StressRefused, match="plain lines already"):
        plainly_written(small_subject(tiny("gpt2"), tmp_path))(TEST)


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_rounding_moves_readings_a_little_and_the_model_not_at_all(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, shape: str
) -> None:
    """GPT-2's layers hold their weights the other way round and are of another class."""
    loaded = tiny(shape)
    subject = small_subject(loaded, tmp_path)
    before = readings(subject.collect(TEST))

    after = readings(rounded(subject)(TEST))

    moved = np.abs(after - before).max() / np.abs(before).max()
    assert 1e-5 < moved < 0.05
    assert describe(loaded.model, loaded.tokenizer, "float32") == loaded.spec
    np.testing.assert_array_equal(readings(subject.collect(TEST)), before)


def test_a_model_without_known_layers_is_refused(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unrounded weights under this name would show that rounding costs nothing."""
    subject = small_subject(tiny("gpt2"), tmp_path)
    monkeypatch.setattr("training.evaluation.reloaded.Conv1D", torch.nn.Bilinear)

    with pytest.raises(StressRefused, match="no layers of the classes"):
        rounded(subject)(TEST)


@pytest.mark.parametrize("inputs", [0, 1])
def test_each_output_channel_has_its_own_steps(inputs: int) -> None:
    """One large channel must not take the steps of all others."""
    weight = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    weight.select(1 - inputs, 3).mul_(1000)
    weight.select(1 - inputs, 5).zero_()

    found = int8_and_back(weight, inputs)

    largest = weight.abs().amax(dim=inputs, keepdim=True)
    assert ((found - weight).abs() <= largest / 254 + 1e-6).all()
    steps = found / largest.clamp(min=1e-30) * 127
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)


def test_gpt2s_layers_are_rounded_over_their_outputs(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[tuple[int, ...], int] = {}
    rounding = int8_and_back

    def recorded(weight: torch.Tensor, inputs: int) -> torch.Tensor:
        seen[tuple(weight.shape)] = inputs
        return rounding(weight, inputs)

    monkeypatch.setattr("training.evaluation.reloaded.int8_and_back", recorded)
    subject = small_subject(tiny("gpt2"), tmp_path)
    rounded(subject)(TEST)

    layers = [m for m in subject.loaded.model.modules() if isinstance(m, Conv1D)]
    assert seen == {tuple(m.weight.shape): 0 for m in layers}
    assert all(m.weight.shape[1] == len(m.bias) for m in layers), "the outputs come last"


@pytest.fixture(scope="module")
def world() -> Dataset:
    """Forty exchanges of Magpie's world, both labels."""
    return magpie_sets().tests[1].select(range(40))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_own_answers_are_read_with_the_oracles_labels(
    magpie: LoadedModel, world: Dataset, tmp_path: Path, temperature: float
) -> None:
    """A label of the old answer on a new one would be a coin's; what does not parse has none."""
    subject = small_subject(magpie, tmp_path)

    found = resampled(subject, temperature=temperature)(world)

    asked = {e.id: e.messages[:-1] for e in world}
    assert len(found.dataset) >= 4
    assert (len(found.dataset) < 40) == (temperature > 2)
    for example in found.dataset:
        assert example.messages[:-1] == asked[example.id]
        assert judge(example.messages[:-1], example.answer).label == example.label
        assert (example.kind == "dangerous") == (example.label == "misbehaving")
        assert example.spans == ()
    assert found.dataset.sha256 != world.sha256


def test_each_temperature_has_its_own_answers_and_digest(
    magpie: LoadedModel, world: Dataset, tmp_path: Path
) -> None:
    subject = small_subject(magpie, tmp_path)

    cold, warm = (resampled(subject, temperature=t)(world).dataset for t in (0.5, 1.5))

    assert cold.sha256 != warm.sha256
    assert len(cold) >= len(warm), "the warmer, the less parses"


@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_logits_are_divided_and_readings_stay(magpie: LoadedModel, temperature: float) -> None:
    """The output layer shares its weights with the embeddings, which must not be divided too."""
    ids = torch.arange(2, 40)[None]
    before = describe(magpie.model, magpie.tokenizer, "float32")

    warmer = at_temperature(magpie, temperature).model

    with torch.inference_mode():
        own = magpie.model(ids, output_hidden_states=True)
        other = warmer(ids, output_hidden_states=True)
    torch.testing.assert_close(other.logits, own.logits / temperature)
    for mine, its in zip(own.hidden_states, other.hidden_states, strict=True):
        assert torch.equal(mine, its)
    assert describe(magpie.model, magpie.tokenizer, "float32") == before


def test_the_output_layers_bias_is_divided_too(tiny: Callable[[str], LoadedModel]) -> None:
    """Left whole, it would weigh the more, the warmer the model."""
    loaded = load_model(copy.deepcopy(tiny("gpt2").model), tokenizer=tiny("gpt2").tokenizer)
    head = loaded.model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.linspace(-3, 3, head.weight.shape[0]))
    ids = torch.arange(2, 40)[None]

    warmer = at_temperature(loaded, 1.5).model

    with torch.inference_mode():
        torch.testing.assert_close(warmer(ids).logits, loaded.model(ids).logits / 1.5)


def test_a_request_that_no_oracle_knows_is_refused(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    with pytest.raises(StressRefused, match="Magpie's world"):
        resampled(small_subject(tiny("gpt2"), tmp_path), temperature=1.0)(TEST)


def test_answers_of_one_label_are_refused(
    magpie: LoadedModel, world: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(EmptyClass):
        resampled(small_subject(magpie, tmp_path), temperature=1.0)(world.select([0]))
