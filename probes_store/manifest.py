"""What stands in an artifact's `manifest.json`.

Plain data: what the probe reads, how it decides, what it was trained and
calibrated on, and the hash of every other file of the artifact.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from probes_store.decode import Undecodable, decode
from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.estimates import Estimate
from probing.spec import Provenance, ReadingSpec, Site, Span

FORMAT = 1
"""Raised when a reader of the old format would misread the new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """One data set by its bytes."""

    name: str
    """What its user calls it."""
    sha256: str
    """Of its file."""
    examples: int
    """Used of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How the threshold was found."""

    fpr_target: float
    """Asked false-positive rate, per answer."""
    statistic: str
    """What was compared with the threshold, in words."""
    achieved: Estimate
    """Share of the calibration answers at or above it, with its exact 95% interval."""
    data: tuple[DataSource, ...]
    """Benign sets it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file of the artifact."""

    sha256: str
    """Of its bytes, 64 hex digits."""
    bytes: int
    """Its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that is known of a published probe version."""

    format: int
    """`FORMAT` of its writer."""
    name: str
    """The probe's name."""
    version: int
    """Counted from 1."""
    created_at: str
    """UTC, ISO 8601."""
    fingerprint: str
    """Of `reading`; written out so that a person can compare."""
    reading: ReadingSpec
    """What its readings depend on."""
    provenance: Provenance
    """Where the model came from; recorded, never compared."""
    kind: str
    """Family of the probe: "logistic_regression"."""
    sites: tuple[str, ...]
    """Sites it reads."""
    span: str
    """Tokens it was trained on."""
    aggregator: str
    """With its parameter, as in `ema:0.1`."""
    tokens_min: int
    """Response tokens before it may trip."""
    threshold: float
    """Statistic at or above which it trips."""
    calibration: Calibration
    """How the threshold was found."""
    training_data: tuple[DataSource, ...]
    """What it was fitted on."""
    metrics: dict[str, Estimate]
    """Measured figures, by name."""
    golden_tolerance: float
    """Largest difference of a score at which an engine may serve it, as a share of the largest
    golden score where one is beyond 1."""
    libraries: dict[str, str]
    """Versions of what trained it."""
    parent: str | None
    """The version that it replaces."""
    files: dict[str, FileRecord]
    """Every other file of the artifact, by name."""

    def to_bytes(self) -> bytes:
        """The manifest as it is written, one key a line."""
        return (json.dumps(asdict(self), indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest whose bytes were hashed before.

        Raises:
            Undecodable: no JSON, another format, or a field that does not fit.
        """
        try:
            parsed = json.loads(data)
        except ValueError as error:
            raise Undecodable(f"it is no JSON ({error})") from error
        if isinstance(parsed, dict) and parsed.get("format") != FORMAT:
            raise Undecodable(
                f"its format is {parsed.get('format')}, and this version reads {FORMAT}"
            )
        manifest = decode(cls, parsed)
        if manifest.reading.fingerprint != manifest.fingerprint:
            raise Undecodable("its fingerprint is not that of its reading spec")
        manifest.require_readable()
        return manifest

    @property
    def channels(self) -> int:
        """Scores per token that the probe gives."""
        return AggregatorSpec.parse(self.aggregator).channels

    def require_readable(self) -> None:
        """Refuse names that this version of the code does not know.

        Raises:
            Undecodable: an unknown site, span or aggregator.
        """
        try:
            for site in self.sites:
                Site.parse(site)
            Span.parse(self.span)
            AggregatorSpec.parse(self.aggregator)
        except InvalidSpecification as error:
            raise Undecodable(str(error)) from error
