"""What training hands over to be published, and what comes back from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from probes_store.errors import DraftRefused
from probes_store.files import record_of
from probes_store.manifest import FORMAT, Calibration, DataSource, Manifest
from probes_store.ref import Ref
from probes_store.tensors import golden_to_bytes, probe_to_bytes
from probing.estimates import Estimate
from probing.probe import Probe
from probing.spec import Provenance, ReadingSpec

if TYPE_CHECKING:
    from probing.golden import Golden

MANIFEST, MANIFEST_HASH = "manifest.json", "manifest.sha256"
PROBE, GOLDEN = "probe.safetensors", "golden.safetensors"
CARD, EVALUATION = "card.md", "evaluation.json"
COMPANIONS = ("probe.onnx", "probe.joblib", CARD, EVALUATION)
"""Files that the store keeps and hashes, and never parses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A trained probe, complete but for its version."""

    probe: Probe
    """Its `version` is given by the store; what stands there now is not kept."""
    reading: ReadingSpec
    """What its readings depend on; has the probe's fingerprint."""
    provenance: Provenance
    """Where the model came from."""
    kind: str
    """Family of the probe: "logistic_regression"."""
    calibration: Calibration
    """How its threshold was found."""
    training_data: tuple[DataSource, ...]
    """What it was fitted on."""
    metrics: Mapping[str, Estimate]
    """Measured figures, by name."""
    golden: Golden
    """Eight sequences with their scores."""
    golden_tolerance: float
    """Largest difference of a score at which an engine may serve it."""
    libraries: Mapping[str, str]
    """Versions of what trained it."""
    companions: Mapping[str, bytes]
    """`COMPANIONS` by name; each may be absent."""
    parent: Ref | None = None
    """The version that it replaces."""

    def contents(self) -> dict[str, bytes]:
        """Every file of the artifact but the manifest.

        Raises:
            DraftRefused: a companion that the format does not know.
        """
        unknown = sorted(set(self.companions) - set(COMPANIONS))
        if unknown:
            raise DraftRefused(self.probe.name, f"an artifact has no file {unknown[0]}")
        own = {PROBE: probe_to_bytes(self.probe), GOLDEN: golden_to_bytes(self.golden)}
        return {**own, **self.companions}

    def manifest(self, ref: Ref, contents: Mapping[str, bytes]) -> Manifest:
        """The manifest of this draft as one version.

        Raises:
            DraftRefused: the probe was trained on other readings than the draft says.
        """
        if self.probe.fingerprint != self.reading.fingerprint:
            raise DraftRefused(ref.name, "its fingerprint is not that of its reading spec")
        return Manifest(
            format=FORMAT,
            name=ref.name,
            version=ref.version or 0,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            fingerprint=self.probe.fingerprint,
            reading=self.reading,
            provenance=self.provenance,
            kind=self.kind,
            sites=tuple(str(site) for site in self.probe.sites),
            span=str(self.probe.span),
            aggregator=str(self.probe.aggregator),
            tokens_min=self.probe.tokens_min,
            threshold=float(self.probe.threshold),
            calibration=self.calibration,
            training_data=self.training_data,
            metrics=dict(self.metrics),
            golden_tolerance=self.golden_tolerance,
            libraries=dict(self.libraries),
            parent=str(self.parent) if self.parent else None,
            files={name: record_of(data) for name, data in sorted(contents.items())},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A published version, every byte of it verified."""

    ref: Ref
    """Name and version."""
    probe: Probe
    """Ready to be scored with."""
    manifest: Manifest
    """What is known of it."""
    golden: Golden
    """What an engine replays before it serves with it."""
    digest: str
    """SHA-256 of the manifest, which holds the hashes of all other files."""
