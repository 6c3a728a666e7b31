"""All probes of a set as one matrix per site.

One product of [tokens, d_model] and [d_model, channels] per tapped site, summed on
the device; the copy to the host is the caller's, where it synchronises anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from probing.errors import SiteDidNotFire
from probing.probe import ProbeSet
from probing.spec import Site


@dataclass(frozen=True, slots=True)
class _SiteWeights:
    matrix: Float[Tensor, "d_model own"]
    columns: slice | Tensor


class ProbeBank:
    """Scores readings for a whole probe set at once."""

    def __init__(self, probe_set: ProbeSet, device: torch.device | str = "cpu") -> None:
        self.channels = probe_set.channels
        self._bias = torch.from_numpy(np.concatenate([p.bias for p in probe_set.probes]))
        self._bias = self._bias.float().to(device)
        self._sites = {site: _weights_at(site, probe_set, device) for site in probe_set.sites}

    @torch.inference_mode()
    def score(
        self, readings: Mapping[Site, Float[Tensor, "*tokens d_model"]]
    ) -> Float[Tensor, "*tokens channels"]:
        """Logits of every probe for every token, float32, on the readings' device.

        Raises:
            SiteDidNotFire: a site that some probe reads is not among the readings.
        """
        out: Tensor | None = None
        leading: torch.Size | None = None
        for site, own in self._sites.items():
            if site not in readings:
                raise SiteDidNotFire(str(site), 0)
            reading = readings[site]
            leading = reading.shape[:-1]
            flat = reading.reshape(-1, reading.shape[-1]).float()
            if out is None:
                out = self._bias.expand(len(flat), -1).clone()
            if isinstance(own.columns, slice):
                out[:, own.columns].addmm_(flat, own.matrix)
            else:
                out.index_add_(1, own.columns, flat @ own.matrix)
        if out is None or leading is None:
            raise SiteDidNotFire("(the probe set reads no site)", 0)
        return out.reshape(*leading, self.channels)


def _weights_at(site: Site, probe_set: ProbeSet, device: torch.device | str) -> _SiteWeights:
    """The columns of the probes that read this site, as a slice where they are neighbours."""
    matrices: list[NDArray[np.float32]] = []
    columns: list[int] = []
    for probe, own in zip(probe_set.probes, probe_set.channel_slices(), strict=True):
        if site in probe.weights:
            matrices.append(probe.weights[site])
            columns.extend(range(own.start, own.stop))
    matrix = torch.from_numpy(np.concatenate(matrices).T.copy()).float().to(device)
    if columns == list(range(columns[0], columns[-1] + 1)):
        return _SiteWeights(matrix, slice(columns[0], columns[-1] + 1))
    return _SiteWeights(matrix, torch.tensor(columns, device=device))
