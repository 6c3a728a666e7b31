"""The threshold lets through what it says, of the statistic that trips live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from probing.errors import InvalidSpecification, TooFewNegatives
from probing.monitor import replay
from tests.probing.examples import probe
from tests.training.examples import collected, dataset
from training.calibrate import calibrate
from training.errors import AnswersTooShort
from training.score import answer_lengths, answer_scores
from training.tables import calibration_line

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
    with pytest.raises(InvalidSpecification, match="between 0 and 1"):
        calibrate(probe(), collected(HONEST), fpr=fpr)


@pytest.mark.parametrize("short", [20, 180])
def test_answers_that_cannot_trip_are_counted_and_do_not_raise_the_threshold(short: int) -> None:
    """With their last value they stood above it: 0.050 was published and 0.005 tripped live."""
    data = collected(HONEST, lengths=[2] * short + [9] * (200 - short))
    own = probe(aggregator="mean", sites=data.sites, d_model=6, tokens_min=5)

    found = calibrate(own, data, fpr=0.05)

    streams = np.split(answer_scores(data, [own]), np.cumsum(answer_lengths(data))[:-1])
    tripped = [replay(found.probe, stream).tripped_at is not None for stream in streams]
    assert found.achieved.value == np.mean(tripped) == 0.05
    assert found.achieved.n == 200
    assert np.isfinite(found.probe.threshold)
    assert f"{short} of them too short to trip (under 5 tokens)" in calibration_line(found)


@pytest.mark.parametrize("able", [0, 10])
def test_where_nearly_all_are_too_short_no_threshold_is_made_up(able: int) -> None:
    """The lowest float would keep the rate as well, and halt every longer answer."""
    data = collected(HONEST, lengths=[9] * able + [2] * (200 - able))
    own = probe(sites=data.sites, d_model=6, tokens_min=5)

    with pytest.raises(AnswersTooShort, match=f"only {able} of 200 honest answers"):
        calibrate(own, data, fpr=0.05)
