"""Studies for tests: quick ones of a real model, and one without any model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from probing.model import LoadedModel
from training.experiments.study import Study


def study(
    loaded: LoadedModel | None = None,
    *,
    layers: tuple[int, ...] = (0, 1),
    folds: int = 3,
    strength: float = 0.1,
    cache: Path = Path("var/none"),
) -> Study:
    """A study that shows nothing; without a model it can judge and not read."""
    model: Any = loaded
    return Study(
        loaded=model,
        layers=layers,
        folds=folds,
        strength=strength,
        seed=0,
        cache=cache,
        console=Console(quiet=True),
    )
