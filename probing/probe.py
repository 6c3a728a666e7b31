"""A trained probe as plain numbers, and the set of probes that one service runs.

Whatever family a probe comes from, what is served per token is `sum_i w_i . x_{i,t} + b`
over its sites, with the scaler folded into w and b, and for a small network one more
layer behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.aggregators import AggregatorSpec
from probing.errors import ReadingMismatch, ScoreShapeMismatch
from probing.spec import ReadingSpec, Site, Span, digest_of

RESPONSE = Span("response")

Role = Literal["champion", "challenger"]
"""A champion decides; a challenger only records."""


@dataclass(frozen=True, slots=True)
class Readout:
    """The second layer of a small network: `weights . max(0, rows) + bias`."""

    weights: Float[NDArray[np.float32], "channels rows"]
    """From what the first layer gives, after a ReLU."""
    bias: Float[NDArray[np.float32], " channels"]
    """Added once per token and channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A function from readings to a logit per token, with aggregator and threshold."""

    name: str
    """What auditors see, and the category in moderation results."""
    version: str
    """Version in the probe store."""
    fingerprint: str
    """Of the readings it was trained on."""
    weights: dict[Site, Float[NDArray[np.float32], "rows d_model"]]
    """One matrix per site; its rows are the aggregator's channels, or the readout's inputs."""
    bias: Float[NDArray[np.float32], " rows"]
    """Added once per token and row."""
    aggregator: AggregatorSpec
    """How its scores become a statistic."""
    threshold: float
    """The statistic at or above which it trips."""
    tokens_min: int
    """Response tokens that must be read before it may trip."""
    readout: Readout | None = None
    """What makes channels of the rows; None where they are the channels."""
    span: Span = RESPONSE
    """Tokens that it was trained on."""
    role: Role = "champion"
    """Whether it decides or only records."""

    def __post_init__(self) -> None:
        rows, channels = len(self.bias), self.aggregator.channels
        shapes: list[tuple[tuple[int, ...], tuple[int, ...]]]
        shapes = [((rows,), matrix.shape[:1]) for matrix in self.weights.values()]
        if self.readout is None:
            shapes.append(((channels,), self.bias.shape))
        else:
            shapes.append(((channels, rows), self.readout.weights.shape))
            shapes.append(((channels,), self.readout.bias.shape))
        for expected, found in shapes:
            if found != expected:
                raise ScoreShapeMismatch(expected, found)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Sites it reads, in the order of the forward pass's blocks."""
        return tuple(sorted(self.weights))

    def as_role(self, role: Role) -> Probe:
        """The same probe in another role."""
        return replace(self, role=role)

    def require(self, offered: ReadingSpec) -> None:
        """Refuse readings that it was not trained on.

        Raises:
            ReadingMismatch: the offered spec has another fingerprint.
        """
        if offered.fingerprint != self.fingerprint:
            raise ReadingMismatch(self.name, self.fingerprint, offered.fingerprint)

    @property
    def digest(self) -> str:
        """Twelve hex digits over everything that can change one of its decisions."""
        tensors = hashlib.sha256(self.bias.tobytes())
        for site in self.sites:
            tensors.update(str(site).encode() + self.weights[site].tobytes())
        if self.readout is not None:
            tensors.update(self.readout.weights.tobytes() + self.readout.bias.tobytes())
        facts = [self.name, self.version, self.fingerprint, str(self.aggregator)]
        facts += [float(self.threshold).hex(), str(self.tokens_min), str(self.span), self.role]
        return digest_of([*facts, tensors.hexdigest()])[:12]


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """The probes that score together, champions and challengers."""

    probes: tuple[Probe, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What each is called in results, in scoring order.

        The first probe of a name goes by that name, further versions by `name@version`: a
        challenger is most often the champion's next version.
        """
        names: list[str] = []
        for probe in self.probes:
            taken = probe.name in names
            names.append(f"{probe.name}@{probe.version}" if taken else probe.name)
        return tuple(names)

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites that any of them reads."""
        return tuple(sorted({site for probe in self.probes for site in probe.sites}))

    @property
    def channels(self) -> int:
        """Numbers per token that the bank gives for the whole set."""
        return sum(probe.aggregator.channels for probe in self.probes)

    @property
    def digest(self) -> str:
        """Twelve hex digits that name this set in every receipt."""
        return digest_of([probe.digest for probe in self.probes])[:12]

    def require(self, offered: ReadingSpec) -> None:
        """Refuse readings that any of the probes was not trained on.

        Raises:
            ReadingMismatch: names the first probe that does not fit.
        """
        for probe in self.probes:
            probe.require(offered)

    def channel_slices(self) -> Sequence[slice]:
        """Where each probe's channels stand in the bank's output."""
        ends = np.cumsum([probe.aggregator.channels for probe in self.probes]).tolist()
        return [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
