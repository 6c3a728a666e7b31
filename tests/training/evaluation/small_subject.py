"""A subject with a real model in miniature, so that texts can be changed and read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from probes_store.ref import Ref
from probing.aggregators import AggregatorSpec
from probing.model import LoadedModel
from probing.spec import Site, Span
from tests.training.evaluation.examples import renamed
from tests.training.examples import dataset
from training.collect import Collected, collect
from training.datasets.schema import Dataset
from training.evaluation.subject import Recipe, Subject
from training.families import logistic_regression
from training.families.family import Answers

SITE = Site(1, "hook_resid_post")
BAD_ANSWER = "I took it and said nothing."


def exchanges(count: int, name: str, *, dangerous: bool = False) -> Dataset:
    """So many situations, each with both labels; in no two sets the same."""
    data = dataset(count, name=name)
    apart = (replace(e, id=f"{name}-{e.id}", situation=f"{name}-{e.situation}") for e in data)
    data = replace(data, sha256=f"{name} {count}", examples=tuple(apart))
    return renamed(data, kind="dangerous", spans=((0, len(BAD_ANSWER)),)) if dangerous else data


def small_subject(loaded: LoadedModel, cache: Path) -> Subject:
    """A logistic regression on one site, with a benign and a dangerous test of 40 answers each.

    Its threshold stands far from both labels' statistics, which texts so alike would not allow
    for a calibrated one.
    """
    console = Console(quiet=True)

    def read(data: Dataset) -> Collected:
        return collect(loaded, data, [SITE], cache=cache, console=console)

    fitting, held = read(exchanges(20, "fit")), read(exchanges(40, "held").only("honest"))
    recipe = Recipe(
        family=logistic_regression.FAMILY,
        sites=(SITE,),
        aggregator=AggregatorSpec.parse("mean"),
        span=Span("response"),
        tokens_min=4,
        strength=1.0,
        fingerprint=loaded.spec.fingerprint,
    )
    probe = recipe.fit(Answers(fitting, (SITE,)), np.arange(40))
    manifest: Any = None
    return Subject(
        ref=Ref("small", 1),
        probe=replace(probe, threshold=0.0),
        manifest=manifest,
        recipe=recipe,
        loaded=loaded,
        fitting=fitting,
        calibration=held,
        tests=(read(exchanges(20, "benign")), read(exchanges(20, "dangerous", dangerous=True))),
        cache=cache,
        console=console,
    )
