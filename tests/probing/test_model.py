"""Loading: identity, refusals, models that somebody changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from probing.errors import ModelUnavailable, UnknownSite
from probing.model import LoadedModel, describe, load_model
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


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_another_precision_is_read_and_has_another_fingerprint(
    saved: Path, tiny: Tiny, dtype: str
) -> None:
    exact, ids = tiny("gpt2"), torch.tensor([[1, 2, 3]])
    loaded = load_model(saved, dtype=dtype)
    sites = loaded.sites.all_sites()

    with Reader(loaded, sites) as reader, Reader(exact, sites) as exactly:
        readings = reader.forward(Inputs(input_ids=ids)).readings
        expected = exactly.forward(Inputs(input_ids=ids)).readings

    assert loaded.spec.dtype == dtype
    assert loaded.spec.fingerprint != exact.spec.fingerprint
    for site in sites:
        assert str(readings[site].dtype) == f"torch.{dtype}"
        assert (readings[site].float() - expected[site]).abs().max() < 0.01


def test_the_precision_is_part_of_the_spec_by_itself(tiny: Tiny) -> None:
    """An engine may compute in another precision than its tensors are stored in."""
    loaded = tiny("gpt2")

    half = describe(loaded.model, loaded.tokenizer, "bfloat16")

    assert half == replace(loaded.spec, dtype="bfloat16")
    assert half.fingerprint != loaded.spec.fingerprint


@pytest.mark.parametrize("dtype", ["int8", "float64", ""])
def test_a_precision_that_is_not_read_is_refused(dtype: str) -> None:
    with pytest.raises(ModelUnavailable, match="none of float32, bfloat16, float16"):
        load_model(gpt2(), dtype=dtype)


@pytest.mark.parametrize("device", ["nowhere", "cuda:99"])
def test_a_device_that_is_not_there_is_told_in_one_sentence(
    byte_tokenizer: PreTrainedTokenizerFast, device: str
) -> None:
    with pytest.raises(ModelUnavailable, match="cannot load model") as caught:
        load_model(gpt2(), tokenizer=byte_tokenizer, device=device)

    assert "\n" not in str(caught.value)


def _other_weights(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    model.transformer.h[0].ln_1.weight.data[0] += 1e-6


def _other_config(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    model.config.layer_norm_epsilon = 1e-3


def _other_modules(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Neither tensors nor configuration know of this."""
    model.transformer.h[1].mlp.act = nn.ReLU()


def _other_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["pre_tokenizer"]["add_prefix_space"] = True
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))


def _other_template(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = "{{ messages[-1]['content'] }}"


CHANGES = {
    "weights": _other_weights,
    "config": _other_config,
    "modules": _other_modules,
    "tokenizer": _other_tokenizer,
    "template": _other_template,
}


@pytest.mark.parametrize("ingredient", CHANGES)
def test_each_ingredient_of_a_model_changes_its_fingerprint_and_no_other_part(
    byte_tokenizer: PreTrainedTokenizerFast, ingredient: str
) -> None:
    """A part that is not hashed could be exchanged under a probe, and it would score on."""
    model, tokenizer = gpt2(), copy.deepcopy(byte_tokenizer)
    before = load_model(model, tokenizer=tokenizer).spec
    CHANGES[ingredient](model, tokenizer)

    after = load_model(model, tokenizer=tokenizer).spec

    old, new = before.as_json(), after.as_json()
    assert [name for name in old if old[name] != new[name]] == [ingredient]
    assert after.fingerprint != before.fingerprint


def test_a_tokenizer_that_was_used_is_still_the_same(
    byte_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Padding and truncation are set by whoever calls it; they must not refuse a probe."""
    model, tokenizer = gpt2(), copy.deepcopy(byte_tokenizer)
    before = load_model(model, tokenizer=tokenizer).spec
    tokenizer(["a", "bcd"], padding=True, truncation=True, max_length=3)

    assert load_model(model, tokenizer=tokenizer).spec == before


class _SlowTokenizer:
    """As those that are written in Python, without a backend that could say what it is."""

    chat_template = None
    eos_token_id = 1

    def __init__(self, *words: str, special: str = "</s>") -> None:
        self.words, self.special_tokens_map = words, {"eos_token": special}

    def get_vocab(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}


@pytest.mark.parametrize("other", [_SlowTokenizer("b", "a"), _SlowTokenizer("a", "b", special="b")])
def test_another_slow_tokenizer_changes_the_fingerprint(other: _SlowTokenizer) -> None:
    model = gpt2()

    ours = load_model(model, tokenizer=_SlowTokenizer("a", "b")).spec

    assert load_model(model, tokenizer=_SlowTokenizer("a", "b")).spec == ours
    assert load_model(model, tokenizer=other).spec.tokenizer != ours.tokenizer


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer.json", "config.json"])
def test_a_file_that_was_edited_in_a_models_folder_changes_its_fingerprint(
    saved: Path, tiny: Tiny, file: str
) -> None:
    edits = {"tokenizer.json": ("<|end|>", "<|over|>"), "config.json": ('"gelu_new"', '"gelu"')}
    path = saved / file
    if file in edits:
        text = path.read_text()
        assert edits[file][0] in text
        path.write_text(text.replace(*edits[file]))
    else:
        path.write_text("{{ messages[-1]['content'] }}")

    assert load_model(saved).spec.fingerprint != tiny("gpt2").spec.fingerprint


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
