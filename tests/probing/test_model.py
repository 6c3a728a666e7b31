"""Loading: identity, refusals, models that somebody changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from probing.errors import ModelUnavailable, UnknownSite
from probing.model import LoadedModel, load_model
from probing.reader import Inputs, Reader
from probing.spec import Site
from tests.models import gpt2

Tiny = Callable[[str], LoadedModel]


@pytest.fixture
def saved(tmp_path: Path, tiny: Tiny) -> Path:
    """A small GPT-2 as an ordinary Hugging Face directory."""
    loaded = tiny("gpt2")
    loaded.model.save_pretrained(tmp_path / "model")
    loaded.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_same_model_in_another_folder_has_the_same_fingerprint(saved: Path, tiny: Tiny) -> None:
    moved = saved.rename(saved.parent / "elsewhere")

    assert load_model(moved).spec.fingerprint == tiny("gpt2").spec.fingerprint


def test_one_changed_weight_changes_the_fingerprint(saved: Path, tiny: Tiny) -> None:
    tensors = load_file(saved / "model.safetensors")
    tensors["transformer.h.0.ln_1.weight"][0] += 1e-6
    save_file(tensors, saved / "model.safetensors", metadata={"format": "pt"})

    assert load_model(saved).spec.fingerprint != tiny("gpt2").spec.fingerprint


def test_another_precision_has_another_fingerprint(saved: Path, tiny: Tiny) -> None:
    assert load_model(saved, dtype="bfloat16").spec.fingerprint != tiny("gpt2").spec.fingerprint


def test_a_model_without_its_layer_norms_is_read_and_has_its_own_fingerprint(
    tiny: Tiny,
    byte_tokenizer,  # type: ignore[no-untyped-def]
) -> None:
    """Same weights file, other computation: the module classes tell them apart."""
    model = gpt2()
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = nn.Identity(), nn.Identity()
    loaded = load_model(model, tokenizer=byte_tokenizer)
    site = Site(2, "hook_resid_mid")

    with Reader(loaded, [site]) as reader:
        readings = reader.forward(Inputs(input_ids=torch.tensor([[1, 2, 3]]))).readings

    assert readings[site].shape == (1, 3, 64)
    assert loaded.spec.modules != tiny("gpt2").spec.modules


def test_a_directory_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="expected a Hugging Face directory") as caught:
        load_model(tmp_path / "nothing")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "no_config", "no_tensor"])
def test_a_damaged_directory_is_refused(saved: Path, damage: str) -> None:
    """A missing tensor would be drawn at random and the model would answer all the same."""
    weights = saved / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "garbage":
        weights.write_bytes(b"\xff" * 5000)
    elif damage == "no_config":
        (saved / "config.json").unlink()
    else:
        tensors = load_file(weights)
        del tensors["transformer.h.1.mlp.c_fc.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})

    with pytest.raises(ModelUnavailable):
        load_model(saved)


def test_a_model_in_memory_without_tokenizer_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="needs its tokenizer"):
        load_model(gpt2())


@pytest.mark.parametrize("layer", [3, 99])
def test_a_layer_that_the_model_does_not_have_is_refused(tiny: Tiny, layer: int) -> None:
    with pytest.raises(UnknownSite, match=r"it has blocks\.0\.hook_resid_pre"):
        Reader(tiny("gpt2"), [Site(layer, "hook_resid_post")])
