"""Another process loads the model that the work was planned with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import training.scale.model_source as module
from probing.model import LoadedModel
from training.scale.model_source import ModelSource


def planned_with(loaded: LoadedModel, path: str) -> LoadedModel:
    """As if it had been loaded from there, onto a device that is not the default."""
    return replace(
        loaded,
        provenance=replace(loaded.provenance, path=path, revision="a1b2"),
        spec=replace(loaded.spec, dtype="bfloat16"),
        device=torch.device("cuda:1"),
    )


def test_a_directory_is_named_by_its_whole_path_and_a_name_stays(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker need not stand where the work was planned."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()

    paths = [ModelSource.of(planned_with(tiny("gpt2"), path)).path for path in ("mine", "gpt2")]

    assert paths == [str(tmp_path / "mine"), "gpt2"]


def test_a_worker_asks_for_the_same_revision_precision_and_device(
    tiny: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint knows nothing of the device: a worker would be slow and say nothing."""
    planned, asked = planned_with(tiny("gpt2"), "some/model"), []

    def load_model(path: str, *, dtype: str, device: str, revision: str | None) -> LoadedModel:
        asked.append((path, dtype, device, revision))
        return planned

    monkeypatch.setattr(module, "load_model", load_model)
    ModelSource.of(planned).load()

    assert asked == [("some/model", "bfloat16", "cuda:1", "a1b2")]
