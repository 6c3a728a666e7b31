"""The quick form over a whole data set says what the live monitor says."""

from __future__ import annotations

import numpy as np
import pytest

from probing.aggregators import AggregatorSpec
from probing.errors import NonFiniteScore
from probing.monitor import replay
from tests.probing.examples import probe
from tests.training.examples import collected, dataset
from training.live import live_statistics
from training.score import answer_lengths, answer_scores, live_peaks

AGGREGATORS = [
    "mean", "max", "last", "ema:0.3", "rolling_max:4", "topk_mean:3", "tail_mean:4",
    "tail_concat:3",
]  # fmt: skip


@pytest.mark.parametrize("tokens_min", [1, 4, 9])
@pytest.mark.parametrize("text", AGGREGATORS)
def test_all_examples_at_once_give_what_each_gives_live(text: str, tokens_min: int) -> None:
    """A sweep that chose by another statistic than the one that trips would choose wrongly."""
    spec = AggregatorSpec.parse(text)
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 15, size=40)
    scores = rng.normal(size=(lengths.sum(), 2 * spec.channels)).astype(np.float32)

    _, live = live_statistics(spec, scores, lengths, tokens_min=[20, tokens_min])

    served = probe(aggregator=text, tokens_min=tokens_min)
    streams = np.split(scores, np.cumsum(lengths)[:-1])
    for column in range(2):
        own = slice(column * spec.channels, (column + 1) * spec.channels)
        replays = [replay(served, stream[:, own]) for stream in streams]
        assert live.peaks[:, column].tolist() == [r.peak for r in replays]
        assert np.isneginf(live.peaks[:, column]).tolist() == (lengths < tokens_min).tolist()
        assert live.finals[:, column].tolist() == [float(r.statistics[-1]) for r in replays]


def test_only_the_answer_is_scored() -> None:
    """Live no prompt token is pushed; one that entered here would move every threshold."""
    data = dataset(6)
    lengths = [7] * 12
    bare, prompted = collected(data, lengths=lengths), collected(data, lengths=lengths, prompt=3)
    served = probe(sites=bare.sites, d_model=6)

    scores = answer_scores(prompted, [served])

    assert len(scores) == 12 * 7
    assert answer_lengths(prompted).tolist() == lengths
    everything = np.concatenate([prompted.shards[0][i] for i in range(2)], axis=1)
    weights = np.concatenate([served.weights[site][0] for site in bare.sites])
    expected = (everything @ weights + served.bias).reshape(12, 10)[:, 3:]
    np.testing.assert_allclose(scores[:, 0], expected.reshape(-1), atol=1e-4)


def test_peaks_come_from_the_monitors_own_replay() -> None:
    data = collected(dataset(5))
    served = probe(sites=data.sites, d_model=6, tokens_min=3)

    peaks = live_peaks(data, served)

    (quick,) = live_statistics(
        served.aggregator, answer_scores(data, [served]), answer_lengths(data), tokens_min=[3]
    )
    assert peaks.tolist() == quick.peaks[:, 0].tolist()


def test_a_score_that_is_not_finite_is_refused() -> None:
    data = collected(dataset(5))
    served = probe(sites=data.sites, d_model=6)
    served.weights[data.sites[0]][0, 0] = np.nan

    with pytest.raises(NonFiniteScore):
        answer_scores(data, [served])
