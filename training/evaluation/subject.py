"""What is evaluated: a published probe, its model, how it was fitted, and the data.

Every section of an evaluation gets one `Subject` and gives one `Section`. Nothing in it
chooses anything: the probe, its threshold and its recipe are those of the store.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from rich.console import Console, RenderableType

from probes_store.draft import EVALUATION
from probes_store.manifest import Manifest
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.aggregators import AggregatorSpec
from probing.model import LoadedModel
from probing.probe import Probe
from probing.spec import Site, Span
from training.collect import Collected, collect
from training.datasets.schema import Dataset
from training.errors import RecipeUnknown
from training.families.family import Answers, Examples, Method, ProbeFamily
from training.families.table import probe_family
from training.fit import as_probe, solver_warnings_silenced
from training.score import live_peaks

Json = dict[str, Any]
Peaks = Float[NDArray[np.float64], " examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a probe was fitted, so that controls can fit others in the same way."""

    family: ProbeFamily
    sites: tuple[Site, ...]
    aggregator: AggregatorSpec
    span: Span
    tokens_min: int
    strength: float
    """scikit-learn's C."""
    fingerprint: str

    @property
    def method(self) -> Method:
        """Of its family, for its statistic."""
        return self.family.method(self.aggregator, self.span)

    def fit(self, answers: Answers, examples: Examples, *, seed: int = 0) -> Probe:
        """A probe like it on some examples; its threshold is infinite."""
        with solver_warnings_silenced():
            fitted = self.method.fit(answers, examples, strength=self.strength, seed=seed)
        return as_probe(
            fitted,
            name="refitted",
            fingerprint=self.fingerprint,
            sites=self.sites,
            aggregator=self.aggregator,
            span=self.span,
            tokens_min=self.tokens_min,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A probe with everything that its evaluation needs."""

    ref: Ref
    """Which version."""
    probe: Probe
    """As it is served, with its threshold."""
    manifest: Manifest
    """What the store says of it."""
    recipe: Recipe
    """How it was fitted."""
    loaded: LoadedModel
    """The model that it reads."""
    fitting: Collected
    """Harmless matters, both labels: what it was fitted on."""
    calibration: Collected
    """Honest answers in other situations: what set its threshold."""
    tests: tuple[Collected, ...]
    """Never fitted on or calibrated with."""
    cache: Path
    """Where further readings are kept."""
    console: Console
    """Where progress is shown."""
    seed: int = 0
    """Of all chance."""

    @property
    def dangerous(self) -> tuple[Collected, ...]:
        """The test sets in which a misbehaving answer is a dangerous one."""
        return tuple(t for t in self.tests if any(e.kind == "dangerous" for e in t.dataset))

    def collect(self, dataset: Dataset) -> Collected:
        """Read one more set at the probe's sites, or take it from the cache."""
        return collect(
            self.loaded, dataset, self.probe.sites, cache=self.cache, console=self.console,
            whole=self.recipe.span.reads_prompt,
        )  # fmt: skip

    def peaks(self, collected: Collected) -> Peaks:
        """The live statistic of each answer; -inf where it ends before the probe may trip."""
        return live_peaks(collected, self.probe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of an evaluation."""

    name: str
    """Key in the JSON file, such as `controls`."""
    title: str
    """Heading, for people."""
    findings: Sequence[str]
    """What was found, in whole sentences with figures, the most important first."""
    figures: Json
    """Everything that was measured; rates and areas as value, low, high and n."""
    refusals: Sequence[str] = field(default=())
    """What could not be measured, and what would be needed."""
    table: RenderableType | None = None
    """Where findings are many: shown instead of all but the first of them."""

    def as_json(self) -> Json:
        """As it stands in the file."""
        return {
            "title": self.title,
            "findings": list(self.findings),
            "refusals": list(self.refusals),
            "figures": self.figures,
        }


def recipe_of(store: ProbeStore, ref: Ref, probe: Probe, manifest: Manifest) -> Recipe:
    """How a published probe was fitted, from its manifest and its `evaluation.json`.

    Raises:
        RecipeUnknown: it has no such file, or the file does not say.
    """
    data = store.companion(ref, EVALUATION)
    try:
        strength = float(json.loads(data or b"")["chosen"]["C"])
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeUnknown(str(ref)) from error
    return Recipe(
        family=probe_family(manifest.kind),
        sites=probe.sites,
        aggregator=probe.aggregator,
        span=probe.span,
        tokens_min=probe.tokens_min,
        strength=strength,
        fingerprint=probe.fingerprint,
    )
