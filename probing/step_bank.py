"""The bank as a step needs it: one token of every stream, the scores on the host.

Between two forward passes the caches are cold, so what few probes cost is calls and bytes:
one compiled loop reads each site where it lies and each weight once. Many probes over many
rows, networks and what lies on a GPU go through the bank's products.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from probing.bank import ProbeBank, Readings
from probing.compiled import compiled
from probing.errors import ReadingShapeMismatch, SiteDidNotFire
from probing.probe import ProbeSet
from probing.spec import Site

LOOP_PRODUCTS_MAX = 1 << 22
"""Multiplications of a step up to which the loop is no slower than a matrix product: it takes
0.6 of its time at two million of them and as long at eight."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """Linear probes as a list: this channel, of this site, by these weights."""

    weights: Float[NDArray[np.float32], "terms d_model"]
    site: Int[NDArray[np.intp], " terms"]
    channel: Int[NDArray[np.intp], " terms"]
    bias: Float[NDArray[np.float32], " channels"]


class StepBank:
    """Scores one token of every stream for a whole probe set."""

    def __init__(self, probe_set: ProbeSet, device: torch.device) -> None:
        self._bank, self._device = ProbeBank(probe_set, device), device
        self._sites = probe_set.sites
        self._d_model = next(iter(probe_set.probes[0].weights.values())).shape[1]
        linear = all(probe.readout is None for probe in probe_set.probes)
        self._terms = _terms(probe_set) if linear and device.type == "cpu" else None

    def score(self, readings: Readings, rows: int) -> Float[NDArray[np.float32], "rows channels"]:
        """Logits of every probe for this token.

        Args:
            readings: of shape [rows, 1, d_model] at every site.
            rows: how many streams take part in the step.

        Raises:
            SiteDidNotFire: a site that some probe reads is not among the readings.
            ReadingShapeMismatch: a reading is not one token of each of these streams.
        """
        read = [self._of(site, readings, rows) for site in self._sites]
        terms = self._terms
        if terms is None or terms.weights.size * rows > LOOP_PRODUCTS_MAX:
            scores: NDArray[np.float32] = self._bank.score(readings)[:, 0].cpu().numpy()
            return scores
        parts = tuple([reading.float().numpy() for reading in read])
        return _sums(parts, terms.weights, terms.site, terms.channel, terms.bias)

    def warm_up(self) -> None:
        """Compile what a step runs, before the first of them."""
        nothing = torch.zeros(1, 1, self._d_model, device=self._device)
        self.score(dict.fromkeys(self._sites, nothing), 1)

    def _of(self, site: Site, readings: Readings, rows: int) -> Tensor:
        """The loop looks neither left nor right: what it reads must be there."""
        reading = readings.get(site)
        if reading is None:
            raise SiteDidNotFire(str(site), 0)
        if reading.shape != (rows, 1, self._d_model):
            expected = (rows, 1, self._d_model)
            raise ReadingShapeMismatch(str(site), expected, tuple(reading.shape))
        return reading


def _terms(probe_set: ProbeSet) -> _Terms:
    weights: list[NDArray[np.float32]] = []
    site: list[int] = []
    channel: list[int] = []
    for probe, columns in zip(probe_set.probes, probe_set.channel_slices(), strict=True):
        for place, matrix in probe.weights.items():
            weights.append(matrix)
            site += [probe_set.sites.index(place)] * len(matrix)
            channel += range(columns.start, columns.stop)
    return _Terms(
        weights=np.concatenate(weights, dtype=np.float32),
        site=np.array(site, dtype=np.intp),
        channel=np.array(channel, dtype=np.intp),
        bias=np.concatenate([probe.bias for probe in probe_set.probes], dtype=np.float32),
    )


@partial(compiled, any_order=True)
def _sums(
    readings: tuple[Float[NDArray[np.float32], "rows 1 d_model"], ...],
    weights: Float[NDArray[np.float32], "terms d_model"],
    site: Int[NDArray[np.intp], " terms"],
    channel: Int[NDArray[np.intp], " terms"],
    bias: Float[NDArray[np.float32], " channels"],
) -> Float[NDArray[np.float32], "rows channels"]:
    rows = readings[0].shape[0]
    scores = np.empty((rows, bias.shape[0]), np.float32)
    scores[:] = bias
    for term in range(weights.shape[0]):
        reading = readings[site[term]]
        for row in range(rows):
            total = np.float32(0)
            for i in range(weights.shape[1]):
                total += reading[row, 0, i] * weights[term, i]
            scores[row, channel[term]] += total
    return scores
