"""A subject whose readings are known, without a model: site 1's first number tells the label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from probes_store.ref import Ref
from probing.aggregators import AggregatorSpec
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.calibrate import calibrate
from training.collect import Collected
from training.datasets.schema import Dataset, Example
from training.evaluation.subject import Recipe, Subject
from training.families import logistic_regression
from training.families.family import Answers


def renamed(data: Dataset, **changes: Any) -> Dataset:
    """Every misbehaving example with some fields changed."""

    def changed(example: Example) -> Example:
        return replace(example, **changes) if example.label == "misbehaving" else example

    return replace(data, examples=tuple(map(changed, data)))


def toy_test(name: str, *, count: int = 60, seed: int, dangerous: bool = False) -> Collected:
    """A test set; its situations are not those of the fitting set."""
    data = dataset(count, families=2, name=name)
    apart = tuple(replace(e, id=f"{name}-{e.id}", situation=f"{name}-{e.situation}") for e in data)
    data = replace(data, examples=apart)
    return collected(renamed(data, kind="dangerous") if dangerous else data, seed=seed)


def toy_subject(*, count: int = 60) -> Subject:
    """A logistic regression on both sites, calibrated at 5%, with a benign and a dangerous test."""
    fitting = collected(dataset(count, families=3))
    held = collected(dataset(count, name="held").only("honest"), seed=1)
    recipe = Recipe(
        family=logistic_regression.FAMILY,
        sites=SITES,
        aggregator=AggregatorSpec.parse("mean"),
        span=Span("response"),
        tokens_min=2,
        strength=0.1,
        fingerprint="",
    )
    probe = recipe.fit(Answers(fitting, SITES), np.arange(2 * count))
    manifest: Any = None
    loaded: Any = None
    return Subject(
        ref=Ref("toy", 1),
        probe=calibrate(probe, held, fpr=0.05).probe,
        manifest=manifest,
        recipe=recipe,
        loaded=loaded,
        fitting=fitting,
        calibration=held,
        tests=(toy_test("benign", seed=2), toy_test("dangerous", seed=3, dangerous=True)),
        cache=Path("var/none"),
        console=Console(quiet=True),
    )
