"""Whether intervals of misses and recall hold the truth, by simulation of whole streams.

A world says of each stratum how many outputs it has, how many of them misbehave on average,
and how often they are drawn. Every stream of it is drawn anew, with the number of its misses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from service.figures.lots import SamplingPlan, Stratum
from service.figures.misses import (
    Counts,
    SampledCase,
    by_stratum,
    estimated_misses,
    estimated_recall,
)

STREAMS = 1000
LEAST_COVERAGE = 0.93

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    outputs: tuple[int, ...]
    misbehaving: tuple[float, ...]
    drawn: tuple[float, ...]

    def streams(
        self, rng: np.random.Generator, *, fixed: bool, ruled: float
    ) -> tuple[list[list[Counts]], Numbers]:
        """Counts by stratum of each stream, and its true number of misses."""
        shape = STREAMS, len(self.outputs)
        outputs = np.broadcast_to(self.outputs, shape)
        misses = rng.binomial(outputs, self.misbehaving)
        size = np.maximum(1, np.round(np.multiply(self.outputs, self.drawn)).astype(int))
        cases = np.broadcast_to(size, shape) if fixed else rng.binomial(outputs, self.drawn)
        rulings = rng.binomial(cases, ruled)
        found = rng.hypergeometric(misses, outputs - misses, rulings)
        streams = [
            [
                Counts(outputs=int(n), ruled=int(m), misbehaving=int(y))
                for n, m, y in zip(self.outputs, rulings[one], found[one], strict=True)
            ]
            for one in range(STREAMS)
        ]
        return streams, misses.sum(axis=1)


WORLDS = {
    "rare": World(
        outputs=(200_000, 20_000, 2000, 200),
        misbehaving=(1e-5, 2e-4, 5e-3, 0.05),
        drawn=(0.002, 0.02, 0.2, 1),
    ),
    "very rare": World(outputs=(1_000_000, 10_000), misbehaving=(2e-6, 1e-3), drawn=(0.003, 0.1)),
    "none at all": World(outputs=(200_000, 2000), misbehaving=(0, 0), drawn=(0.002, 0.2)),
    "common": World(
        outputs=(5000, 2000, 1000, 500),
        misbehaving=(0.02, 0.1, 0.3, 0.6),
        drawn=(0.02, 0.05, 0.1, 0.3),
    ),
    "nearly all": World(
        outputs=(10_000, 300, 100, 50),
        misbehaving=(0.001, 0.5, 0.9, 0.95),
        drawn=(0.01, 0.1, 0.2, 0.2),
    ),
    "tiny strata": World(
        outputs=(2000, 30, 20, 12, 8, 5, 3),
        misbehaving=(0.01, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5),
        drawn=(0.05, *[0.3] * 6),
    ),
    "forty tiny strata": World(outputs=(5,) * 40, misbehaving=(0.3,) * 40, drawn=(0.3,) * 40),
    "ten alike": World(outputs=(1000,) * 10, misbehaving=(0.003,) * 10, drawn=(0.05,) * 10),
    "read to half": World(
        outputs=(400, 200, 100), misbehaving=(0.02, 0.05, 0.2), drawn=(0.5, 0.8, 1)
    ),
    "misses where few look": World(
        outputs=(50_000, 5000, 500), misbehaving=(3e-3, 1e-3, 1e-3), drawn=(0.004, 0.05, 0.5)
    ),
    "one miss": World(outputs=(100_000,), misbehaving=(1e-5,), drawn=(0.01,)),
    "at the edge of none found": World(outputs=(100_000,), misbehaving=(0.0031,), drawn=(0.01,)),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("fixed", "ruled"), [(False, 1.0), (True, 1.0), (False, 0.6)], ids=["lots", "fixed", "waiting"]
)
def test_the_interval_of_misses_covers_the_truth(world: str, fixed: bool, ruled: float) -> None:
    """An interval that is too short calls a probe safe on evidence that is not there."""
    streams, truth = WORLDS[world].streams(np.random.default_rng(7), fixed=fixed, ruled=ruled)
    answered = [one for one, strata in enumerate(streams) if any(s.ruled for s in strata)]

    found = [estimated_misses(streams[one]) for one in answered]

    covered = [e.low <= t <= e.high for e, t in zip(found, truth[answered], strict=True)]
    assert len(answered) > 0.99 * STREAMS
    assert np.mean(covered) >= LEAST_COVERAGE


@pytest.mark.parametrize("world", ["rare", "common", "misses where few look"])
def test_the_estimate_errs_to_neither_side(world: str) -> None:
    streams, truth = WORLDS[world].streams(np.random.default_rng(8), fixed=False, ruled=0.6)

    errors = np.array([estimated_misses(strata).value for strata in streams]) - truth

    assert abs(errors.mean()) < 4 * errors.std() / math.sqrt(STREAMS)


@pytest.mark.parametrize("world", ["rare", "common", "tiny strata", "none at all"])
@pytest.mark.parametrize(("flags", "ruled"), [(300, 300), (300, 40), (12, 5)])
def test_the_interval_of_recall_covers_the_truth(world: str, flags: int, ruled: int) -> None:
    rng = np.random.default_rng(9)
    streams, misses = WORLDS[world].streams(rng, fixed=False, ruled=0.8)
    right = rng.binomial(flags, 0.7, size=STREAMS)
    confirmed = rng.hypergeometric(right, flags - right, ruled)
    kept = [one for one in range(STREAMS) if confirmed[one]]

    found = [
        estimated_recall(
            Counts(outputs=flags, ruled=ruled, misbehaving=int(confirmed[one])), streams[one]
        )
        for one in kept
    ]

    truth = right[kept] / (right[kept] + misses[kept])
    covered = [e.low <= t + 1e-9 and t <= e.high + 1e-9 for e, t in zip(found, truth, strict=True)]
    assert np.mean(covered) >= LEAST_COVERAGE


def test_lots_and_estimate_fit_each_other() -> None:
    """From the ids of requests to the number of misses, with a rate raised in the middle."""
    far = Stratum(name="far", margin_min=-math.inf, inclusion_probability=0.05)
    near = Stratum(name="near", margin_min=-1.0, inclusion_probability=0.5)
    raised = Stratum(name="far", margin_min=-math.inf, inclusion_probability=0.1)
    rng = np.random.default_rng(10)
    covered = []
    for stream in range(100):
        secret = f"secret of stream {stream}".encode()
        plans = [SamplingPlan(strata=(one, near), secret=secret) for one in (far, raised)]
        margins = -rng.exponential(3.0, 1000)
        bad = rng.random(1000) < np.exp(2 * margins - 1)
        outputs: dict[tuple[str, float], int] = {}
        cases = []
        for number, margin in enumerate(margins):
            lot = plans[number >= 500].lot(f"{stream}-{number}", float(margin))
            key = lot.stratum, lot.inclusion_probability
            outputs[key] = outputs.get(key, 0) + 1
            if lot.drawn:
                cases.append(
                    SampledCase(
                        stratum=lot.stratum,
                        inclusion_probability=lot.inclusion_probability,
                        misbehaving=bool(bad[number]) if rng.random() < 0.9 else None,
                    )
                )
        found = estimated_misses(by_stratum(cases, outputs))
        covered.append(found.low <= bad.sum() <= found.high)

    assert np.mean(covered) >= LEAST_COVERAGE
