"""Where a model comes from and where it runs: what is missing is told at once, in one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from huggingface_hub.errors import OfflineModeIsEnabled
from transformers import BloomConfig, BloomForCausalLM, MptConfig, MptForCausalLM

import probing.model as module
from probing.errors import ModelUnavailable
from probing.model import LoadedModel, load_model

Tiny = Callable[[str], LoadedModel]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No network: what is asked of the hub is written down and refused."""
    asked: list[str] = []

    def refuse(url: str, **options: object) -> None:
        asked.append(url)
        assert options["timeout"] == module.HUB_TIMEOUT_SECONDS
        raise OfflineModeIsEnabled("Cannot reach the hub.\nA second line.")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse)
    return asked


def test_a_mistyped_name_is_told_at_once(hub: list[str]) -> None:
    """The hub's own client asks again for half a minute and tells it in twelve lines."""
    began = time.perf_counter()

    with pytest.raises(ModelUnavailable, match=r"not from the hub \(Cannot reach") as caught:
        load_model("nobody/gtp2-mistyped")

    assert len(hub) == 1
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - began < 20


def test_a_path_that_is_not_there_is_not_asked_of_the_hub(hub: list[str]) -> None:
    with pytest.raises(ModelUnavailable, match="no such directory"):
        load_model("/nowhere/at/all")

    assert hub == []


def test_what_the_hub_has_is_loaded_from_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is looked at first; only what it lacks is downloaded."""
    folder = tmp_path / "model"
    tiny("gpt2").model.save_pretrained(folder)
    tiny("gpt2").tokenizer.save_pretrained(folder)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda *_, **__: None)
    calls: list[bool] = []
    load = transformers.AutoModelForCausalLM.from_pretrained

    def remote(place: str, *, local_files_only: bool, **options: object) -> object:
        calls.append(local_files_only)
        if local_files_only:
            raise OSError("not in the cache")
        return load(folder, **options)

    tokenizer = tiny("gpt2").tokenizer
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", remote)

    loaded = load_model("somebody/gpt2", tokenizer=tokenizer)

    assert calls == [True, False]
    assert loaded.spec.fingerprint == tiny("gpt2").spec.fingerprint


def test_a_device_that_torch_was_not_built_for_is_told_in_one_sentence(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.nn.Module, "to", refuse)

    with pytest.raises(ModelUnavailable, match="not compiled with CUDA"):
        load_model(tiny("gpt2").model, tokenizer=tiny("gpt2").tokenizer, device="cuda")


def bloom(**more: int) -> BloomForCausalLM:
    return BloomForCausalLM(
        BloomConfig(vocab_size=257, hidden_size=64, n_layer=2, n_head=2, **more)
    )


def test_a_context_goes_by_other_names_too(tiny: Tiny) -> None:
    tokenizer = tiny("gpt2").tokenizer
    mpt = MptForCausalLM(
        MptConfig(vocab_size=257, d_model=64, n_heads=2, n_layers=2, max_seq_len=99)
    )

    assert load_model(bloom(seq_length=77), tokenizer=tokenizer).context == 77
    assert load_model(mpt, tokenizer=tokenizer).context == 99


def test_a_model_that_does_not_say_its_context_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ModelUnavailable, match="none of max_position_embeddings, seq_length"):
        load_model(bloom(), tokenizer=tiny("gpt2").tokenizer)
