"""Score collected readings with the bank that serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray

from probing.bank import ProbeBank
from probing.errors import NonFiniteScore
from probing.monitor import replay
from probing.probe import Probe, ProbeSet
from training.collect import Collected

Scores = Float[NDArray[np.float32], "tokens channels"]


def answer_lengths(collected: Collected) -> Int[NDArray[np.int64], " examples"]:
    """Tokens of each answer, which are what a probe is scored on live."""
    return np.array([len(r.token_ids) - r.response_start for r in collected.rendered])


def answer_scores(collected: Collected, probes: Sequence[Probe]) -> Scores:
    """Logits of some probes for every answer token, example after example.

    Returns:
        The probes' channels side by side, shape [tokens, channels].

    Raises:
        UnknownSite: a probe reads a site that was not collected.
        NonFiniteScore: a score is NaN or infinite.
    """
    probe_set = ProbeSet(tuple(probes))
    bank = ProbeBank(probe_set)
    pieces = []
    for examples, *blocks in _side_by_side(collected, probe_set):
        readings = dict(zip(probe_set.sites, map(torch.from_numpy, blocks), strict=True))
        pieces.append(bank.score(readings).numpy()[_in_answer(collected, examples)])
    scores = np.concatenate(pieces)
    if not np.isfinite(scores).all():
        raise NonFiniteScore([], probe_set.names)
    return scores


def live_peaks(collected: Collected, probe: Probe) -> Float[NDArray[np.float64], " examples"]:
    """What each answer would have reached live: `probing.monitor.replay`, answer by answer.

    -inf for an answer that ends before `tokens_min`: it cannot trip.
    """
    ends = np.cumsum(answer_lengths(collected))[:-1]
    streams = np.split(answer_scores(collected, [probe]), ends)
    return np.array([replay(probe, stream).peak for stream in streams])


def _side_by_side(collected: Collected, probe_set: ProbeSet) -> Iterator[tuple[range, ...]]:
    per_site = [collected.blocks(site) for site in probe_set.sites]
    for parts in zip(*per_site, strict=True):
        yield parts[0][0], *(block for _, block in parts)


def _in_answer(collected: Collected, examples: range) -> NDArray[np.bool_]:
    """Which of the kept tokens of these examples are the answer's."""
    masks = []
    for example in examples:
        start = int(collected.starts[example])
        masks.append(
            np.arange(start, start + collected.lengths[example])
            >= collected.rendered[example].response_start
        )
    return np.concatenate(masks)
