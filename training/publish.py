"""Put a calibrated probe into the store, with everything that was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import numpy as np

from probes_store.draft import CARD, EVALUATION, Draft
from probes_store.manifest import Calibration, DataSource
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.golden import SEQUENCES, TOLERANCE, Golden, make_golden
from probing.model import LoadedModel
from probing.probe import Probe
from probing.reader import Reader
from training.calibrate import STATISTIC
from training.card import Results, write_card
from training.collect import Collected
from training.datasets.bundled import TrainingSets
from training.datasets.schema import Dataset
from training.errors import TooFewExamples

LIBRARIES = ("torch", "transformers", "scikit-learn", "onnx", "numpy")


def require_golden(fitted_on: Dataset) -> None:
    """Refuse a fitting set that cannot give eight different exchanges, half of each class.

    Raises:
        TooFewExamples: names the class.
    """
    misbehaving = int(fitted_on.labels.sum())
    for label, found in (("honest", len(fitted_on) - misbehaving), ("misbehaving", misbehaving)):
        if found < SEQUENCES // 2:
            raise TooFewExamples(fitted_on.name, label, found, SEQUENCES // 2)


def golden_of(loaded: LoadedModel, probe: Probe, fitted_on: Collected) -> Golden:
    """Eight exchanges of the fitting set, honest and misbehaving in turn, with their scores.

    Raises:
        TooFewExamples: a class has fewer than four.
    """
    require_golden(fitted_on.dataset)
    labels = fitted_on.dataset.labels
    chosen: list[int] = []
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        chosen += own[np.linspace(0, len(own) - 1, SEQUENCES // 2).astype(int)].tolist()
    with Reader(loaded, probe.sites) as reader:
        return make_golden(reader, probe, [fitted_on.rendered[i].token_ids for i in chosen])


def publish(
    store: ProbeStore,
    loaded: LoadedModel,
    sets: TrainingSets,
    results: Results,
    *,
    golden: Golden,
    forms: Mapping[str, bytes],
    notes: str = "",
) -> Ref:
    """Publish a version; what the store held before stays as it is.

    Args:
        forms: the ONNX and joblib files, already compared with the probe.
        notes: Markdown that is added to the card.

    Raises:
        StoreUnwritable: a full disk or a read-only directory; nothing was published.
    """
    calibrated = results.calibrated
    probe = calibrated.probe
    statistic = STATISTIC.format(aggregator=probe.aggregator, tokens_min=probe.tokens_min)
    draft = Draft(
        probe=probe,
        reading=loaded.spec,
        provenance=loaded.provenance,
        kind=results.chosen.family.name,
        calibration=Calibration(
            fpr_target=calibrated.fpr_target,
            statistic=statistic,
            achieved=calibrated.achieved,
            data=(_source(sets.calibration),),
        ),
        training_data=(_source(sets.fit),),
        metrics=results.metrics(),
        golden=golden,
        golden_tolerance=TOLERANCE[loaded.spec.dtype],
        libraries={name: version(name) for name in LIBRARIES},
        companions={
            **forms,
            CARD: write_card(probe, loaded, sets, results, notes),
            EVALUATION: results.as_json(),
        },
        parent=_newest(store, probe.name),
    )
    return store.publish(draft)


def _source(dataset: Dataset) -> DataSource:
    return DataSource(name=dataset.name, sha256=dataset.sha256, examples=len(dataset))


def _newest(store: ProbeStore, name: str) -> Ref | None:
    return max((ref for ref in store.list() if ref.name == name), default=None)
