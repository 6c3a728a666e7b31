"""What every experiment is given and what it gives back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from probing.model import LoadedModel
from probing.spec import Hook, Site
from training.collect import Collected, collect
from training.datasets.schema import Dataset

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A model, and how it is probed."""

    loaded: LoadedModel
    """The model that is read."""
    layers: tuple[int, ...]
    """Blocks that are read."""
    folds: int
    """Parts that are dealt out; each is judged by probes that were fitted on the others."""
    strength: float
    """scikit-learn's C, the same everywhere: nothing is chosen by what it is judged on."""
    seed: int
    """Of all chance."""
    cache: Path
    """Where readings are kept."""
    console: Console
    """Where progress is shown."""

    @property
    def stream(self) -> tuple[Site, ...]:
        """The residual stream behind each block, and before the first: the embedding."""
        embedding = (Site(0, "hook_resid_pre"),) if 0 in self.layers else ()
        return (*embedding, *self.sites("hook_resid_post"))

    def sites(self, *hooks: Hook) -> tuple[Site, ...]:
        """Some places of every block, hook by hook."""
        return tuple(Site(layer, hook) for hook in hooks for layer in self.layers)

    def read(self, dataset: Dataset, sites: Sequence[Site]) -> Collected:
        """Readings of a set's answers, from the cache where they are there."""
        return collect(self.loaded, dataset, sites, cache=self.cache, console=self.console)

    def settings(self, *datasets: Dataset) -> Json:
        """What the figures depend on, for the file."""
        return {
            "model": self.loaded.provenance.name,
            "fingerprint": self.loaded.spec.fingerprint,
            "layers": list(self.layers),
            "folds": self.folds,
            "C": self.strength,
            "seed": self.seed,
            "data": [{"name": d.name, "sha256": d.sha256, "examples": len(d)} for d in datasets],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an experiment found, beside what was to be expected."""

    expected: str
    """The shape that others found, with its source."""
    found: Sequence[str]
    """What was found here, in whole sentences with figures."""
    tables: Sequence[Table]
    """For the terminal."""
    figures: Json
    """Everything that was measured; rates and areas as value, low, high and n."""

    def show(self, console: Console) -> None:
        """Tables first, then what was expected and what was found."""
        for table in self.tables:
            console.print(table)
        console.print(f"[bold]expected[/]  {self.expected}", highlight=False)
        for sentence in self.found:
            console.print(f"[bold]found[/]     {sentence}", highlight=False)

    def write(self, path: Path, settings: Json) -> None:
        """As a JSON file."""
        told = {"settings": settings, "expected": self.expected, "found": list(self.found)}
        path.write_text(json.dumps(told | self.figures, indent=1, allow_nan=False) + "\n")
