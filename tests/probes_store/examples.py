"""A complete draft of a small probe, without a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from probes_store.draft import Draft
from probes_store.manifest import Calibration, DataSource
from probing.aggregators import AggregatorSpec
from probing.estimates import rate
from probing.golden import SEQUENCES, Golden
from probing.probe import Probe, Readout
from probing.spec import Provenance, ReadingSpec, Site

READING = ReadingSpec(
    weights="w", config="c", modules="m", tokenizer="t", template="x", dtype="float32", d_model=8
)
SITE = Site(1, "hook_resid_post")
DATA = DataSource(name="petty", sha256="0" * 64, examples=40)


def layered(*, aggregator: str = "mean") -> Probe:
    """The same behind a layer of three units."""
    one, rng = probe(aggregator=aggregator), np.random.default_rng(5)
    channels = one.aggregator.channels
    return replace(
        one,
        weights={SITE: rng.normal(size=(3, 8)).astype(np.float32)},
        bias=rng.normal(size=3).astype(np.float32),
        readout=Readout(
            rng.normal(size=(channels, 3)).astype(np.float32),
            rng.normal(size=channels).astype(np.float32),
        ),
    )


def probe(name: str = "petty", *, aggregator: str = "mean") -> Probe:
    """Weights that differ by channel, so that a mix-up shows."""
    kind = AggregatorSpec.parse(aggregator)
    rng = np.random.default_rng(3)
    return Probe(
        name=name,
        version="0",
        fingerprint=READING.fingerprint,
        weights={SITE: rng.normal(size=(kind.channels, 8)).astype(np.float32)},
        bias=rng.normal(size=kind.channels).astype(np.float32),
        aggregator=kind,
        threshold=1.25,
        tokens_min=4,
    )


def golden(channels: int = 1) -> Golden:
    """Eight sequences of different lengths."""
    ids = tuple(tuple(range(1, 4 + n)) for n in range(SEQUENCES))
    scores = tuple(np.full((len(i), channels), 0.5 * len(i), dtype=np.float32) for i in ids)
    return Golden(ids, scores)


def draft(name: str = "petty", *, aggregator: str = "mean") -> Draft:
    """Everything that an artifact holds."""
    own = probe(name, aggregator=aggregator)
    return Draft(
        probe=own,
        reading=READING,
        provenance=Provenance(name="toy", path=None, revision=None, engine="e", attention="a"),
        kind="logistic_regression",
        calibration=Calibration(
            fpr_target=0.01, statistic="max", achieved=rate(1, 100), data=(DATA,)
        ),
        training_data=(DATA,),
        metrics={"auroc": rate(9, 10)},
        golden=golden(own.aggregator.channels),
        golden_tolerance=1e-4,
        libraries={"numpy": "2"},
        companions={"card.md": b"---\nlicense: x\n---\n# Petty\n", "probe.joblib": b"never read"},
    )


def with_threshold(threshold: float) -> Draft:
    """The draft with another threshold."""
    first = draft()
    return replace(first, probe=replace(first.probe, threshold=threshold))
