"""Data of Magpie's world that several tests read."""

from __future__ import annotations

import pytest

from training.datasets.schema import Dataset, example_of
from training.organism.datasets import as_line, pairs
from training.organism.world import BENIGN_FAMILIES


@pytest.fixture(scope="session")
def matches() -> Dataset:
    """Context cases of Magpie's harmless families, each request answered both ways."""
    examples = []
    for family in BENIGN_FAMILIES:
        for number, both in enumerate(pairs(family, count=8, seed=3)):
            for scene in both:
                if scene.case == "context":
                    name = f"{family}-{number}-{scene.label}"
                    examples.append(example_of(as_line(scene, name), name))
    return Dataset(name="matches", sha256="matches", examples=tuple(examples))
