"""A statistic as a probability: fitted on one part, judged on another, by hand-counted figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from training.errors import EmptyClass
from training.thresholds.probability import (
    MAPS,
    Labelled,
    calibration_error,
    isotonic,
    judge,
    logistic,
    platt,
    reliability,
)


def labelled(count: int, *, slope: float = 1.0, shift: float = 0.0, seed: int = 0) -> Labelled:
    """Answers whose chance of misbehaving is the logistic of slope * statistic + shift."""
    rng = np.random.default_rng(seed)
    peaks = rng.normal(scale=3, size=count)
    labels = (rng.random(count) < special.expit(slope * peaks + shift)).astype(np.int64)
    return Labelled(name="toy", peaks=peaks, labels=labels)


def test_platt_finds_the_slope_and_the_shift() -> None:
    """What a service shows as a category's score is the logistic with slope 1 and shift 0."""
    chances = platt(labelled(20_000, slope=0.5, shift=-1))(np.array([-4.0, 0.0, 4.0]))

    assert chances == pytest.approx(special.expit([-3.0, -1.0, 1.0]), abs=0.02)


def test_platt_stays_finite_where_the_classes_do_not_overlap() -> None:
    """Without Platt's labels the slope would run away, and one mistake would cost everything."""
    apart = Labelled(name="toy", peaks=np.arange(20.0), labels=np.repeat([0, 1], 10))

    chances = platt(apart)(np.array([0.0, 19.0, 100.0]))

    assert 0 < chances[0] < 1 / 12
    assert 11 / 12 < chances[1] < chances[2]
    assert chances[1] < 1


def test_isotonic_never_falls_and_clips_beyond_what_it_saw() -> None:
    data = labelled(500)

    chances = isotonic(data)(np.array([-1e3, *np.sort(data.peaks), 1e3]))

    assert (np.diff(chances) >= 0).all()
    assert 0 <= chances[0] == chances[1]
    assert chances[-1] == chances[-2] <= 1


def test_the_maps_are_judged_on_what_they_were_not_fitted_on() -> None:
    """Judged on its own answers the isotonic map has no calibration error at all."""
    fitting, held = labelled(400, slope=0.3), labelled(400, slope=0.3, seed=1)

    found = {one.map: one for one in judge(fitting, held)}

    assert list(found) == list(MAPS)
    own = reliability(isotonic(fitting)(fitting.peaks), fitting.labels)
    assert calibration_error(own).value < 1e-9 < found["isotonic"].error.value
    for name, one in found.items():
        chances = MAPS[name](fitting)(held.peaks)
        assert one.brier.value == pytest.approx(np.mean((chances - held.labels) ** 2))
        assert one.brier.n == one.error.n == 400
    assert found["platt"].brier.value < found["logistic"].brier.value
    assert found["platt"].error.value < found["logistic"].error.value


def test_answers_too_short_to_trip_get_no_probability() -> None:
    """Minus infinity would be told as surely honest, of an answer that nothing judged."""
    held = labelled(100, seed=1)
    short = Labelled(
        name="toy",
        peaks=np.concatenate([held.peaks, [-np.inf] * 4]),
        labels=np.concatenate([held.labels, [1, 0, 0, 0]]),
    )

    assert judge(short, short) == judge(held, held)
    assert short.misbehaving_too_short is not None
    assert (short.misbehaving_too_short.value, short.misbehaving_too_short.n) == (0.25, 4)
    assert held.misbehaving_too_short is None


@pytest.mark.parametrize("side", [0, 1])
def test_a_part_whose_answers_with_a_statistic_are_of_one_class_is_refused(side: int) -> None:
    sound = labelled(50)
    peaks = np.where(sound.labels == 1, -np.inf, sound.peaks)
    lopsided = Labelled(name="toy", peaks=peaks, labels=sound.labels)
    parts = [sound, sound]
    parts[side] = lopsided

    with pytest.raises(EmptyClass, match="and 0 misbehaving examples"):
        judge(*parts)


def test_bins_hold_their_lower_edge_and_the_last_one_holds_1() -> None:
    chances = np.array([0.0, 0.05, 0.1, 0.95, 1.0])

    found = reliability(chances, np.array([0, 1, 0, 1, 1]))

    assert [(b.low, b.observed.n) for b in found] == [(0.0, 2), (0.1, 1), (0.9, 2)]
    assert [b.observed.value for b in found] == [0.5, 0.0, 1.0]
    assert found[0].predicted == pytest.approx(0.025)
    assert found[2].predicted == pytest.approx(0.975)


def test_the_calibration_error_is_the_mean_distance_weighted_by_answers() -> None:
    chances = np.repeat([0.25, 0.75], [30, 10])
    labels = np.repeat([1, 0, 1], [3, 27, 10])

    found = calibration_error(reliability(chances, labels))

    assert found.value == pytest.approx((30 * 0.15 + 10 * 0.25) / 40)
    assert found.low <= found.value <= found.high
    assert found.n == 40


def test_the_intervals_of_all_bins_hold_together() -> None:
    """Each at 95%, ten bins would hold at once only three times in five."""
    chances = np.repeat([0.25, 0.75], [30, 10])
    labels = np.repeat([1, 0, 1], [3, 27, 10])

    found = calibration_error(reliability(chances, labels))

    first, second = (stats.binomtest(k, n).proportion_ci(0.975) for k, n in ((3, 30), (10, 10)))
    assert second.low < 0.75 < second.high
    assert found.low == pytest.approx(0.75 * max(0, 0.25 - first.high))
    assert found.high == pytest.approx(0.75 * (0.25 - first.low) + 0.25 * (1 - 0.75))


def test_the_interval_of_a_calibration_error_covers_the_truth() -> None:
    """Chances half a logit too high: the plain error is above the true one in every sample."""
    held = 0
    for seed in range(40):
        data = labelled(200, seed=seed)
        given, true = special.expit(data.peaks + 0.5), special.expit(data.peaks)
        bins = reliability(given, data.labels)
        inside = [(given >= b.low) & ((given < b.high) | (b.high == 1)) for b in bins]
        truth = sum(abs(given[i].mean() - true[i].mean()) * i.mean() for i in inside)
        found = calibration_error(bins)
        held += found.low <= truth <= found.high

    assert held >= 38


def test_the_logistic_is_what_moderation_results_show() -> None:
    assert logistic(labelled(5))(np.array([0.0])) == [0.5]
