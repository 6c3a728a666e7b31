"""Publishes small probes for a real model, as training would."""

from __future__ import annotations

from pathlib import Path

from probes_store.draft import Draft
from probes_store.manifest import Calibration, DataSource
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.estimates import Estimate
from probing.golden import make_golden
from probing.model import LoadedModel
from probing.reader import Reader
from tests.probing.examples import probe

DATA = (DataSource(name="made up", sha256="0" * 64, examples=400),)


def publish(root: Path, loaded: LoadedModel, *, threshold: float = 1e9, seed: int = 0) -> Ref:
    """A probe with random weights that trips from the fourth token on at `threshold`."""
    fitted = probe(
        threshold=threshold, tokens_min=4, seed=seed, fingerprint=loaded.spec.fingerprint
    )
    with Reader(loaded, fitted.sites) as reader:
        golden = make_golden(reader, fitted, [[i + 1, i + 2, i + 3, i + 4] for i in range(8)])
    draft = Draft(
        probe=fitted,
        reading=loaded.spec,
        provenance=loaded.provenance,
        kind="logistic_regression",
        calibration=Calibration(
            fpr_target=0.01,
            statistic="peak of the running mean",
            achieved=Estimate(value=0.01, low=0.003, high=0.025, n=400),
            data=DATA,
        ),
        training_data=DATA,
        metrics={},
        golden=golden,
        golden_tolerance=1e-4,
        libraries={},
        companions={},
    )
    return ProbeStore(root, shipped=None).publish(draft)
