"""Each aggregator against its definition, written out the slow way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp, softmax

from probing.aggregators import _COUNT, _KINDS, AggregatorSpec, build, running
from probing.errors import InvalidSpecification, ScoreShapeMismatch

SCORES = np.array([0.5, -1.0, 2.0, 0.25, 3.0, -2.0, 1.0], dtype=np.float32)


def ema(s: list[float], weight: float) -> float:
    value = s[0]
    for score in s[1:]:
        value = (1 - weight) * value + weight * score
    return value


def rolling_max(s: list[float], window: int) -> float:
    if len(s) < window:
        return float(np.mean(s))
    return max(float(np.mean(s[i : i + window])) for i in range(len(s) - window + 1))


def windows(s: Sequence[float], size: int) -> list[Sequence[float]]:
    """All full windows, or what there is while there is none."""
    return [s[i : i + size] for i in range(max(1, len(s) - size + 1))]


def softmax_mean(logits: np.ndarray, values: np.ndarray) -> float:
    return float(softmax(logits) @ values)


DEFINITIONS = {
    "mean": lambda s: float(np.mean(s)),
    "max": max,
    "last": lambda s: s[-1],
    "ema:0.3": lambda s: ema(s, 0.3),
    "rolling_max:3": lambda s: rolling_max(s, 3),
    "topk_mean:2": lambda s: float(np.mean(sorted(s)[-2:])),
    "tail_mean:3": lambda s: float(np.mean(s[-3:])),
    "softmax:0.5": lambda s: softmax_mean(np.array(s) / 0.5, np.array(s)),
    "agreement:2": lambda s: max(min(window) for window in windows(s, 2)),
}
MANY_CHANNELS = {
    "attention:2": lambda c: softmax_mean(c[:, 0], c[:, 2]) + softmax_mean(c[:, 1], c[:, 3]),
    "multimax:3": lambda c: float(c.max(axis=0).sum()),
    "rolling_attention:3": lambda c: max(softmax_mean(w[:, 0], w[:, 1]) for w in windows(c, 3)),
    "any_class:3": lambda c: float(logsumexp(c.mean(axis=0))),
    "indicators:2": lambda c: float(c.mean(axis=0).max()),
}


@pytest.mark.parametrize("text", DEFINITIONS)
def test_the_running_value_is_the_definition_at_every_token(text: str) -> None:
    values = running(AggregatorSpec.parse(text), SCORES[:, None])

    expected = [DEFINITIONS[text](SCORES[: t + 1].tolist()) for t in range(len(SCORES))]
    assert values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", MANY_CHANNELS)
def test_the_running_value_of_many_channels_is_the_definition(text: str) -> None:
    spec = AggregatorSpec.parse(text)
    channels = np.random.default_rng(0).normal(size=(8, spec.channels)).astype(np.float32)

    values = running(spec, channels)

    expected = [MANY_CHANNELS[text](channels[: t + 1]) for t in range(len(channels))]
    assert values == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("text", ["softmax:0.001", "attention:1", "rolling_attention:2"])
def test_a_weight_beyond_what_a_double_holds_stays_a_number(text: str) -> None:
    """exp of a large logit is infinite, and infinity over infinity would pass any threshold."""
    spec = AggregatorSpec.parse(text)
    channels = np.array([[-3e4], [3e4], [1.0]], dtype=np.float32).repeat(spec.channels, axis=1)

    assert running(spec, channels)[-1] == pytest.approx(3e4)


def test_tail_concat_weighs_each_position_of_the_tail_by_its_own_channel() -> None:
    """Channel j is the product with the weights of tail position j, position 0 the oldest."""
    channels = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)

    values = running(AggregatorSpec.parse("tail_concat:3"), channels)

    last = channels[3, 0] + channels[4, 1] + channels[5, 2]
    assert values[5] == pytest.approx(last, abs=1e-6)
    assert values[0] == pytest.approx(channels[0, 2], abs=1e-6), "missing positions add nothing"


@pytest.mark.parametrize("text", [*DEFINITIONS, *MANY_CHANNELS, "tail_concat:3"])
@given(data=st.data())
def test_streams_that_come_and_go_never_touch_each_other(text: str, data: st.DataObject) -> None:
    """A score that landed on the neighbour's stream would accuse the wrong answer."""
    spec = AggregatorSpec.parse(text)
    width = 2 * spec.channels
    streams = [
        data.draw(arrays(np.float32, (length, width), elements=st.floats(-50, 50, width=16)))
        for length in data.draw(st.lists(st.integers(1, 8), min_size=2, max_size=4))
    ]
    together = build(spec, streams_max=4, probes=2)
    seen: list[list[np.ndarray]] = [[] for _ in streams]
    together.push(np.full((4, width), 9, np.float32))
    for row in range(4):
        together.reset(row)
    rows = list(range(len(streams)))
    while rows:
        out = together.push(np.stack([streams[i][len(seen[i])] for i in rows]))
        for i, value in zip(rows, out, strict=True):
            seen[i].append(value.copy())
        for row in reversed(range(len(rows))):
            if len(seen[rows[row]]) == len(streams[rows[row]]):
                together.move(len(rows) - 1, row)
                rows[row] = rows[-1]
                rows.pop()

    for stream, values in zip(streams, seen, strict=True):
        for probe in range(2):
            own = stream[:, probe * spec.channels : (probe + 1) * spec.channels]
            assert np.array_equal(running(spec, own), np.stack(values)[:, probe])


@pytest.mark.parametrize(
    "text",
    [
        "", "median", "mean:3", "mean:", "ema", "ema:0", "ema:0.0", "ema:1.5", "ema:1e-3",
        "ema:0." + "0" * 400 + "1", "rolling_max:0", "tail_mean:x", "tail_mean:1e+06",
        "tail_mean:10000000", "topk_mean:2.5", "topk_mean:1２", "softmax", "softmax:0",
        "softmax:-1", "attention:0", "agreement:1.5", "any_class",
    ],
)  # fmt: skip
def test_an_aggregator_that_does_not_exist_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(InvalidSpecification, match="expected mean, max, last; ema"):
        AggregatorSpec.parse(text)


@pytest.mark.parametrize(
    "text",
    [*DEFINITIONS, *MANY_CHANNELS, "tail_concat:3", "ema:0.1234567", "ema:1", "tail_mean:1000000"],
)
def test_a_spec_is_written_as_it_was_read(text: str) -> None:
    assert str(AggregatorSpec.parse(text)) == text


@given(
    spec=st.one_of(
        st.builds(
            AggregatorSpec,
            st.just("ema"),
            st.floats(min_value=0, max_value=1, exclude_min=True, allow_subnormal=False),
        ),
        st.builds(
            AggregatorSpec,
            st.sampled_from([kind for kind, known in _KINDS.items() if known.form is _COUNT]),
            st.integers(1, 9_999_999).map(float),
        ),
    )
)
def test_a_spec_survives_being_written_and_read(spec: AggregatorSpec) -> None:
    """Written with six digits, a manifest would name another probe than the one measured."""
    assert AggregatorSpec.parse(str(spec)) == spec


def test_scores_of_another_width_are_refused() -> None:
    with pytest.raises(ScoreShapeMismatch):
        running(AggregatorSpec.parse("tail_concat:3"), SCORES[:, None])
