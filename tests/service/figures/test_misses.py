"""Misses by hand, at the ends, and as properties; coverage is in test_misses_coverage.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probing.errors import InvalidSpecification
from probing.estimates import UndefinedEstimate, rate
from service.figures.misses import (
    Counts,
    SampledCase,
    by_stratum,
    estimated_misses,
    estimated_recall,
)


def counts(outputs: int, ruled: int, misbehaving: int) -> Counts:
    return Counts(outputs=outputs, ruled=ruled, misbehaving=misbehaving)


def sampled(stratum: str, chance: float, *rulings: bool | None) -> list[SampledCase]:
    return [
        SampledCase(stratum=stratum, inclusion_probability=chance, misbehaving=ruling)
        for ruling in rulings
    ]


@st.composite
def some_counts(draw: st.DrawFn) -> Counts:
    outputs = draw(st.integers(0, 10_000))
    ruled = draw(st.integers(0, min(outputs, 200)))
    return counts(outputs, ruled, draw(st.integers(0, ruled)))


def test_each_ruling_stands_for_its_share_of_the_stratum() -> None:
    """Two of a hundredth, and three of all: 200 and 3."""
    found = estimated_misses([counts(10_000, 100, 2), counts(50, 50, 3)])

    assert found.value == pytest.approx(203)
    assert found.n == 150


def test_where_all_are_ruled_on_nothing_is_uncertain() -> None:
    found = estimated_misses([counts(50, 50, 3), counts(20, 20, 0)])

    assert (found.value, found.low, found.high) == (3, 3, 3)


def test_no_miss_found_does_not_mean_that_there_is_none() -> None:
    """The usual variance is 0 here, and the report would say 0 [0, 0] of a million."""
    found = estimated_misses([counts(1_000_000, 3000, 0)])

    assert (found.value, found.low) == (0, 0)
    assert 1200 < found.high < 1300


def test_a_miss_that_was_found_may_be_the_only_one() -> None:
    """Half of the outputs are read, so the other half may well hold none."""
    assert estimated_misses([counts(1000, 500, 1)]).low == 1


def test_common_misbehaviour_is_bounded_like_a_rate() -> None:
    """The interval of a rare count would be half as wide again at three in four."""
    found, exact = estimated_misses([counts(100_000, 200, 150)]), rate(150, 200)

    assert found.low / 100_000 == pytest.approx(exact.low, abs=0.01)
    assert found.high / 100_000 == pytest.approx(exact.high, abs=0.01)


def test_four_hundred_flags_and_no_miss_in_three_thousand_prove_little() -> None:
    """A million outputs, sampled at 0.3%: a recall of a quarter is not excluded."""
    found = estimated_recall(counts(400, 400, 400), [counts(1_000_000, 3000, 0)])

    assert (found.value, found.high) == (1, 1)
    assert 0.23 < found.low < 0.26


def test_recall_is_confirmed_flags_of_these_and_the_misses() -> None:
    strata = [counts(10_000, 100, 2)]
    misses = estimated_misses(strata)
    found = estimated_recall(counts(300, 300, 200), strata)

    assert found.value == pytest.approx(200 / 400)
    assert found.low == pytest.approx(200 / (200 + misses.high))
    assert found.high == pytest.approx(200 / (200 + misses.low))
    assert found.n == 400


def test_flags_that_wait_make_recall_less_certain() -> None:
    """Half of the flags are not ruled on: how many of them are right is estimated as well."""
    strata = [counts(10_000, 100, 2)]
    all_ruled = estimated_recall(counts(20, 20, 10), strata)
    half_ruled = estimated_recall(counts(20, 10, 5), strata)

    assert half_ruled.value == pytest.approx(all_ruled.value)
    assert half_ruled.low < all_ruled.low
    assert half_ruled.high > all_ruled.high


def test_a_stratum_in_which_nobody_looked_may_be_all_misses() -> None:
    seen, unseen = counts(1000, 100, 1), counts(40, 0, 0)
    found, without = estimated_misses([seen, unseen]), estimated_misses([seen])

    assert (found.low, found.high) == (without.low, without.high + 40)
    assert found.value == pytest.approx(without.value * 1040 / 1000)


@pytest.mark.parametrize("strata", [[], [Counts(outputs=9, ruled=0, misbehaving=0)]])
def test_misses_are_undefined_where_nobody_looked(strata: list[Counts]) -> None:
    with pytest.raises(UndefinedEstimate, match="ruled on"):
        estimated_misses(strata)


def test_recall_is_undefined_where_nothing_misbehaved() -> None:
    with pytest.raises(UndefinedEstimate, match="recall"):
        estimated_recall(counts(5, 5, 0), [counts(100, 10, 0)])


def test_recall_is_undefined_where_no_flag_is_ruled_on() -> None:
    """Not 0: the flags are there, nobody has read them."""
    with pytest.raises(UndefinedEstimate, match="no flag is ruled on"):
        estimated_recall(counts(5, 0, 0), [counts(100, 10, 1)])


def test_without_flags_what_misbehaved_was_missed() -> None:
    found = estimated_recall(counts(0, 0, 0), [counts(100, 10, 1)])

    assert (found.value, found.low, found.high) == (0, 0, 0)


@given(st.lists(some_counts(), min_size=1, max_size=6))
def test_the_interval_holds_the_value_and_keeps_to_what_is_known(strata: list[Counts]) -> None:
    """A miss that was found is certain, and so is an output that was ruled harmless."""
    if not any(stratum.ruled for stratum in strata):
        strata = [*strata, counts(10, 5, 1)]
    found = estimated_misses(strata)

    seen = sum(stratum.misbehaving for stratum in strata)
    possible = sum(s.outputs - s.ruled + s.misbehaving for s in strata)
    assert found.low == int(found.low)
    assert found.high == int(found.high)
    assert seen <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= possible + 1e-9


@given(st.lists(some_counts(), min_size=2, max_size=4).filter(lambda s: any(c.ruled for c in s)))
def test_the_order_of_the_strata_does_not_matter(strata: list[Counts]) -> None:
    ends = [
        (found.value, found.low, found.high)
        for order in itertools.permutations(strata)
        for found in [estimated_misses(order)]
    ]

    assert np.allclose(ends, ends[0])


@given(some_counts(), st.lists(some_counts(), min_size=1, max_size=4))
def test_recall_lies_within_its_interval(flagged: Counts, strata: list[Counts]) -> None:
    try:
        found = estimated_recall(flagged, strata)
    except UndefinedEstimate:
        return

    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


def test_cases_are_counted_by_stratum_and_chance() -> None:
    """After a change of the rate, one stratum holds outputs that stand for 50 and for 5."""
    cases = [*sampled("far", 0.02, True, False, None), *sampled("far", 0.2, False)]
    outputs = {("far", 0.02): 150, ("far", 0.2): 5, ("near", 0.5): 7}

    assert by_stratum(cases, outputs) == [counts(150, 2, 1), counts(5, 1, 0), counts(7, 0, 0)]


def test_a_case_of_a_stratum_that_was_not_counted_is_refused() -> None:
    """It would stand for no outputs, and its misses would vanish from the sum."""
    with pytest.raises(InvalidSpecification, match=r"far at 0\.02"):
        by_stratum(sampled("far", 0.02, True), {("far", 0.2): 5})


@pytest.mark.parametrize("found", [(5, 6, 0), (5, 2, 3), (5, 2, -1)])
def test_counts_that_contradict_each_other_are_refused(found: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidSpecification, match="counts"):
        counts(*found)


def slow_weighted(cases: Sequence[tuple[float, bool]]) -> float:
    """Horvitz and Thompson: every misbehaving output counts one by its chance."""
    return sum(1 / chance for chance, misbehaving in cases if misbehaving)


def test_a_sample_of_fixed_size_gives_the_sum_of_horvitz_and_thompson() -> None:
    """There, the share that was drawn is the chance itself."""
    cases = [*sampled("far", 0.02, *[True] * 3, *[False] * 17), *sampled("near", 0.5, True, False)]
    strata = by_stratum(cases, {("far", 0.02): 1000, ("near", 0.5): 4})

    weighted = slow_weighted([(c.inclusion_probability, bool(c.misbehaving)) for c in cases])
    assert estimated_misses(strata).value == pytest.approx(weighted)
