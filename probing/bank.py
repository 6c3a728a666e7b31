"""All probes of a set as a few matrices.

One product of [tokens, sites * d_model] with [channels, sites * d_model] for the probes
that read the same sites, and two for each with a readout, on the device; the copy to the
host is the caller's, where it synchronises anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear

from probing.errors import SiteDidNotFire
from probing.probe import Probe, ProbeSet
from probing.spec import Site

Readings = Mapping[Site, Float[Tensor, "*tokens d_model"]]


@dataclass(frozen=True, slots=True)
class _Product:
    """The linear probes that read the same sites, or one with a readout."""

    sites: tuple[Site, ...]
    matrix: Float[Tensor, "rows sites_by_d_model"]
    bias: Float[Tensor, " rows"]
    readout: tuple[Float[Tensor, "own rows"], Float[Tensor, " own"]] | None

    def of(self, readings: Readings) -> Float[Tensor, "*tokens own"]:
        parts = [readings[site] for site in self.sites]
        reading = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        rows = linear(reading.float(), self.matrix, self.bias)
        return rows if self.readout is None else linear(rows.relu_(), *self.readout)


class ProbeBank:
    """Scores readings for a whole probe set at once."""

    def __init__(self, probe_set: ProbeSet, device: torch.device | str = "cpu") -> None:
        self.channels = probe_set.channels
        members = _members(probe_set)
        slices = probe_set.channel_slices()
        columns = [
            c
            for own in members.values()
            for i in own
            for c in range(slices[i].start, slices[i].stop)
        ]
        self._products = [
            _product(sites, [probe_set.probes[i] for i in own], device)
            for (sites, _), own in members.items()
        ]
        self._places = _places(columns, device)

    def score(self, readings: Readings) -> Float[Tensor, "*tokens channels"]:
        """Logits of every probe for every token, float32, on the readings' device.

        Raises:
            SiteDidNotFire: a site that some probe reads is not among the readings.
        """
        try:
            products = [product.of(readings) for product in self._products]
        except KeyError as missing:
            raise SiteDidNotFire(str(missing.args[0]), 0) from None
        scores = products[0] if len(products) == 1 else torch.cat(products, dim=-1)
        return scores if self._places is None else scores.index_select(-1, self._places)


def _members(probe_set: ProbeSet) -> dict[tuple[tuple[Site, ...], int | None], list[int]]:
    """Indices of the probes of each product, by its sites and by the one that has a readout."""
    members: dict[tuple[tuple[Site, ...], int | None], list[int]] = {}
    for index, probe in enumerate(probe_set.probes):
        alone = index if probe.readout else None
        members.setdefault((probe.sites, alone), []).append(index)
    return members


def _product(
    sites: tuple[Site, ...], probes: Sequence[Probe], device: torch.device | str
) -> _Product:
    joined = [np.concatenate([probe.weights[s] for s in sites], axis=1) for probe in probes]
    bias = np.concatenate([probe.bias for probe in probes])
    layer = probes[0].readout
    return _Product(
        sites=sites,
        matrix=_placed(np.concatenate(joined), device),
        bias=_placed(bias, device),
        readout=(_placed(layer.weights, device), _placed(layer.bias, device)) if layer else None,
    )


def _placed(array: NDArray[np.float32], device: torch.device | str) -> Tensor:
    return torch.from_numpy(array.copy()).float().to(device)


def _places(columns: Sequence[int], device: torch.device | str) -> Int[Tensor, " channels"] | None:
    """Where each channel stands among the products' columns; None where it is the same place."""
    if list(columns) == sorted(columns):
        return None
    return torch.from_numpy(np.argsort(columns)).to(device)
