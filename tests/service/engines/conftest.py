"""Tiny models that do not repeat themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from probing.model import LoadedModel, load_model
from tests.models import BUILDERS


@pytest.fixture(scope="session")
def lively(byte_tokenizer: PreTrainedTokenizerFast) -> Callable[[str], LoadedModel]:
    """As `tiny`, with larger weights: what they generate varies and depends on what was read.

    Freshly initialised models answer everything with one token over and over, which
    would hide a row that is read at the wrong place.
    """
    built: dict[str, LoadedModel] = {}

    def get(name: str) -> LoadedModel:
        if name not in built:
            torch.manual_seed(11)
            model = BUILDERS[name]()
            with torch.no_grad():
                for parameter in model.base_model.parameters():
                    if parameter.ndim == 2 and parameter is not model.get_input_embeddings().weight:
                        parameter.mul_(8)
            built[name] = load_model(model, tokenizer=byte_tokenizer)
        return built[name]

    return get
