"""Golden readings: a few sequences with the scores that training saw for them.

They travel inside every artifact. Each engine replays them at boot and refuses to
serve when it gets other numbers, whatever the reason: kernel, precision, weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from probing.bank import ProbeBank
from probing.errors import GoldenMismatch
from probing.probe import Probe, ProbeSet
from probing.prompt import Rendered
from probing.reader import Reader, read_exchanges

SEQUENCES = 8
"""Sequences in every artifact."""
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.25, "float16": 0.05}
"""Largest difference of a score that still counts as the same, by precision: where a score is
beyond 1, as a share of the largest; docs/decisions/0006."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Token sequences and the scores that go with them."""

    token_ids: tuple[tuple[int, ...], ...]
    """One sequence each."""
    scores: tuple[Float[NDArray[np.float32], "tokens channels"], ...]
    """The probe's channels for every token of each sequence."""


def make_golden(reader: Reader, probe: Probe, sequences: Sequence[Sequence[int]]) -> Golden:
    """Score sequences with a probe, to be put into its artifact."""
    ids = tuple(tuple(sequence) for sequence in sequences)
    return Golden(ids, tuple(_score(reader, probe, ids)))


def allowed(
    tolerance: float, scores: Iterable[Float[NDArray[np.float32], "tokens channels"]]
) -> float:
    """How far scores may lie from these: the tolerance times the largest, or times 1."""
    return tolerance * max(1.0, *(float(np.abs(own).max()) for own in scores))


def check_golden(reader: Reader, probe: Probe, golden: Golden, tolerance: float) -> float:
    """Replay a probe's golden sequences.

    Returns:
        The largest difference of any score.

    Raises:
        GoldenMismatch: it exceeds what the tolerance allows, or is not a number.
    """
    found = _score(reader, probe, golden.token_ids)
    pairs = zip(found, golden.scores, strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    limit = allowed(tolerance, golden.scores)
    if not difference <= limit:
        raise GoldenMismatch(probe.name, difference, limit)
    return difference


def _score(
    reader: Reader, probe: Probe, token_ids: Sequence[tuple[int, ...]]
) -> list[Float[NDArray[np.float32], "tokens channels"]]:
    bank = ProbeBank(ProbeSet((probe,)), reader.loaded.device)
    exchanges = [Rendered(ids, 0) for ids in token_ids]
    scores = {i: bank.score(r).cpu().numpy() for i, r in read_exchanges(reader, exchanges)}
    return [scores[i] for i in range(len(exchanges))]
