"""The threshold lets through what it says, of the statistic that trips live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from probing.errors import TooFewNegatives
from probing.monitor import replay
from tests.probing.examples import probe
from tests.training.examples import collected, dataset
from training.calibrate import calibrate
from training.errors import NothingToCompare
from training.score import answer_lengths, answer_scores

HONEST = dataset(200).only("honest")


@pytest.mark.parametrize("aggregator", ["mean", "ema:0.2", "max"])
def test_live_as_many_honest_answers_trip_as_the_manifest_says(aggregator: str) -> None:
    """Calibrated on pooled tokens, published figures overstated recall 96% against 73%."""
    data = collected(HONEST)
    own = probe(aggregator=aggregator, sites=data.sites, d_model=6, tokens_min=3)

    found = calibrate(own, data, fpr=0.05)

    streams = np.split(answer_scores(data, [own]), np.cumsum(answer_lengths(data))[:-1])
    tripped = [replay(found.probe, stream).tripped_at is not None for stream in streams]
    assert sum(tripped) == 10
    assert found.achieved.value == np.mean(tripped)
    assert found.achieved.low < 0.05 < found.achieved.high
    pooled = [stream.mean() for stream in streams]
    by_pooling = np.sort(pooled)[-11] + 1e-6
    naive = replace(own, threshold=float(by_pooling))
    assert sum(replay(naive, s).tripped_at is not None for s in streams) > 10


@pytest.mark.parametrize(("count", "fpr"), [(99, 0.01), (19, 0.05)])
def test_too_few_honest_answers_are_refused(count: int, fpr: float) -> None:
    data = collected(HONEST.select(range(count)))

    with pytest.raises(TooFewNegatives, match=f"at least {count + 1} are needed"):
        calibrate(probe(sites=data.sites, d_model=6), data, fpr=fpr)


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_that_no_threshold_has_is_refused(fpr: float) -> None:
    with pytest.raises(NothingToCompare, match="between 0 and 1"):
        calibrate(probe(), collected(HONEST), fpr=fpr)
