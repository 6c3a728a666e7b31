"""Lots: at the stated chance, the same everywhere, and not to be steered."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probing.errors import InvalidSpecification
from service.figures.lots import SamplingPlan, Stratum

SECRET = b"sixteen bytes ok"
FAR = Stratum(name="far", margin_min=-math.inf, inclusion_probability=0.02)
NEAR = Stratum(name="near", margin_min=-2.0, inclusion_probability=0.2)
CLOSE = Stratum(name="close", margin_min=-0.5, inclusion_probability=1.0)
PLAN = SamplingPlan(strata=(FAR, NEAR, CLOSE), secret=SECRET)
IDS = [f"req-{number}" for number in range(20_000)]
PINNED = [2, 4, 22, 33, 40, 42, 50, 55, 64, 67, 73, 76, 77, 83, 86, 89, 91, 94, 97, 98, 99]
"""Of the first hundred ids, those drawn at a chance of 0.2."""


def plan(*strata: Stratum, secret: bytes = SECRET) -> SamplingPlan:
    return SamplingPlan(strata=strata, secret=secret)


@pytest.mark.parametrize(("margin", "expected"), [(-9.0, FAR), (-1.0, NEAR)])
def test_outputs_are_drawn_at_the_chance_of_their_stratum(margin: float, expected: Stratum) -> None:
    """The estimate of misses divides by this chance."""
    drawn = sum(PLAN.lot(one, margin).drawn for one in IDS)

    assert stats.binomtest(drawn, len(IDS), expected.inclusion_probability).pvalue > 1e-3


def test_a_chance_of_1_draws_all() -> None:
    assert all(PLAN.lot(one, -0.1).drawn for one in IDS)


def test_two_gateways_draw_the_same() -> None:
    """Otherwise a request that is answered again elsewhere has a second chance."""
    code = (
        "import math\n"
        "from service.figures.lots import SamplingPlan, Stratum\n"
        "near = Stratum(name='near', margin_min=-math.inf, inclusion_probability=0.2)\n"
        f"plan = SamplingPlan(strata=(near,), secret={SECRET!r})\n"
        "print([n for n in range(300) if plan.lot(f'req-{n}', -1.0).drawn])"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert other.stdout.strip() == str([n for n in range(300) if PLAN.lot(f"req-{n}", -1.0).drawn])


def test_the_lot_is_the_one_that_is_written_down() -> None:
    """Another release that draws otherwise would disagree with a gateway not yet upgraded."""
    drawn = [number for number in range(100) if PLAN.lot(f"req-{number}", -1.0).drawn]

    assert drawn == PINNED


def test_who_lacks_the_secret_learns_nothing_from_the_id() -> None:
    """With a plain hash, a client could try ids until one is never looked at."""
    other = plan(FAR, NEAR, CLOSE, secret=b"another sixteen!")
    both = sum(PLAN.lot(one, -1.0).drawn and other.lot(one, -1.0).drawn for one in IDS)

    assert stats.binomtest(both, len(IDS), 0.2**2).pvalue > 1e-3


def test_the_lot_is_not_that_of_the_bare_hash() -> None:
    plain = [int.from_bytes(hashlib.sha256(one.encode()).digest()[:8], "big") for one in IDS]
    both = sum(
        number / 2**64 < 0.2 and PLAN.lot(one, -1.0).drawn
        for number, one in zip(plain, IDS, strict=True)
    )

    assert stats.binomtest(both, len(IDS), 0.2**2).pvalue > 1e-3


@given(st.text(), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_a_higher_chance_keeps_what_was_drawn(request_id: str, one: float, other: float) -> None:
    """Raising a rate in the middle of a day only adds cases."""
    low, high = (
        plan(dataclasses.replace(FAR, inclusion_probability=chance)).lot(request_id, -9.0)
        for chance in sorted((one, other))
    )

    assert high.drawn or not low.drawn


@given(st.floats(max_value=1e300, allow_nan=False))
def test_every_margin_has_one_stratum(margin: float) -> None:
    found = PLAN.stratum_of(margin)

    holders = [stratum for stratum in PLAN.strata if stratum.margin_min <= margin]
    assert found == holders[-1]


def test_the_lot_records_its_chance_whether_drawn_or_not() -> None:
    """The outputs that were not drawn are the ones that the estimate stands for."""
    lots = [PLAN.lot(one, -9.0) for one in IDS[:500]]

    assert {lot.drawn for lot in lots} == {True, False}
    assert {(lot.stratum, lot.inclusion_probability) for lot in lots} == {("far", 0.02)}


def test_an_output_of_too_few_tokens_falls_into_the_lowest_stratum() -> None:
    assert PLAN.lot("req", -math.inf).stratum == "far"


@pytest.mark.parametrize("margin", [math.nan, math.inf])
def test_a_margin_that_is_no_number_is_refused(margin: float) -> None:
    with pytest.raises(InvalidSpecification, match="margin"):
        PLAN.lot("req", margin)


@pytest.mark.parametrize("chance", [0.0, -0.1, 1.1, math.nan])
def test_a_chance_that_permits_no_estimate_is_refused(chance: float) -> None:
    with pytest.raises(InvalidSpecification, match="inclusion probability"):
        plan(FAR, dataclasses.replace(NEAR, inclusion_probability=chance))


@pytest.mark.parametrize("strata", [(), (NEAR,), (FAR, CLOSE, NEAR), (FAR, FAR)])
def test_strata_that_leave_a_gap_or_overlap_are_refused(strata: tuple[Stratum, ...]) -> None:
    with pytest.raises(InvalidSpecification, match="strata"):
        plan(*strata)


def test_two_strata_of_one_name_are_refused() -> None:
    """Their counts would be added up at two different chances."""
    with pytest.raises(InvalidSpecification, match="names of strata"):
        plan(FAR, dataclasses.replace(NEAR, name="far"))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InvalidSpecification, match="secret"):
        plan(FAR, secret=b"15 bytes, short")


def test_the_secret_is_not_printed() -> None:
    assert "sixteen" not in repr(PLAN)


def test_any_id_has_a_lot() -> None:
    assert PLAN.lot("\ud800\0", -0.1).drawn
