"""Agreement against Krippendorff's own example, its definition the slow way, and simulation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from probing.estimates import Estimate, UndefinedEstimate
from service.figures.agreement import Ratings, krippendorff_alpha, percent_agreement

KRIPPENDORFF = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
"""Four observers and twelve units, section C of his paper; a dot is a missing rating."""


def cases(*reviewers: str) -> list[Ratings]:
    """One case per column; who gave no label has a dot."""
    rows = [row.split() for row in reviewers]
    return [
        {f"reviewer {who}": label for who, label in enumerate(column) if label != "."}
        for column in zip(*rows, strict=True)
    ]


def slow_alpha(rated: Sequence[Ratings]) -> Fraction:
    """From the matrix of coincidences, as the paper writes it."""
    matrix: dict[tuple[str, str], Fraction] = {}
    for case in rated:
        labels = list(case.values())
        for one, other in itertools.permutations(labels, 2):
            weight = Fraction(1, len(labels) - 1)
            matrix[one, other] = matrix.get((one, other), Fraction(0)) + weight
    totals: dict[str, Fraction] = {}
    for (one, _), weight in matrix.items():
        totals[one] = totals.get(one, Fraction(0)) + weight
    n = sum(totals.values())
    observed = sum(w for (one, other), w in matrix.items() if one != other)
    expected = sum(totals[c] * totals[k] for c, k in itertools.permutations(totals, 2))
    return 1 - (n - 1) * Fraction(observed) / Fraction(expected)


def drawn(units: int, kept: float, rng: np.random.Generator) -> list[Ratings]:
    """Three reviewers who see the true label with a chance, and guess a fair coin otherwise."""
    truth = rng.integers(0, 2, units)
    sees = rng.random((3, units)) < kept
    given_ = np.where(sees, truth, rng.integers(0, 2, (3, units)))
    present = rng.random((3, units)) < 0.8
    return [
        {str(who): str(given_[who, unit]) for who in range(3) if present[who, unit]}
        for unit in range(units)
    ]


def test_alpha_is_that_of_krippendorffs_example() -> None:
    found = krippendorff_alpha(cases(*KRIPPENDORFF))

    assert round(found.value, 3) == 0.743
    assert found.n == 11
    assert found.low < 0.743 < found.high


def test_percent_agreement_of_krippendorffs_example() -> None:
    """Of 40 pairable ratings, 32 lie on the diagonal of the matrix of coincidences."""
    assert percent_agreement(cases(*KRIPPENDORFF)).value == pytest.approx(32 / 40)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("ABCD"), st.sampled_from(["bad", "fine", "unsure"])),
        min_size=1,
        max_size=12,
    )
)
def test_alpha_is_its_definition(rated: list[Ratings]) -> None:
    paired = [case for case in rated if len(case) > 1]
    assume(len({label for case in paired for label in case.values()}) > 1)

    found = krippendorff_alpha(rated, resamples=50)

    assert found.value == pytest.approx(float(slow_alpha(paired)))
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_perfect_agreement_is_1_and_has_room_below() -> None:
    """Three cases on which all agree would otherwise claim certainty."""
    few = krippendorff_alpha(cases("a b a", "a b a"))
    many = krippendorff_alpha(cases(*["a b " * 100] * 2))

    assert few.value == few.high == many.value == 1
    assert few.low < 0 < 0.9 < many.low < 1


def test_labels_given_blindly_have_an_alpha_near_0() -> None:
    """Percent agreement alone would call two coins half in agreement."""
    blind = drawn(3000, 0.0, np.random.default_rng(0))

    assert krippendorff_alpha(blind).value == pytest.approx(0, abs=0.03)
    assert percent_agreement(blind).value == pytest.approx(0.5, abs=0.02)


def test_reviewers_who_always_differ_have_room_above() -> None:
    found = krippendorff_alpha(cases("a a a", "b b b"))

    assert found.value == pytest.approx(-2 / 3)
    assert found.value < found.high < 1


def test_no_alpha_lies_below_minus_1() -> None:
    """Two cases, each with one of four against the others, leave room for more than there is."""
    assert krippendorff_alpha(cases("a a", "b b", "b b", "b b")).low == -1


@pytest.mark.parametrize("figure", [krippendorff_alpha, percent_agreement])
@pytest.mark.parametrize("rated", [[], cases("a b a"), [{"one": "a"}, {"two": "b"}, {}]])
def test_one_reviewer_alone_agrees_with_nobody(
    figure: Callable[[Sequence[Ratings]], Estimate], rated: list[Ratings]
) -> None:
    with pytest.raises(UndefinedEstimate, match="two reviewers"):
        figure(rated)


def test_alpha_is_undefined_where_all_labels_are_the_same() -> None:
    """It is 0 / 0; agreement of 100% stands beside it."""
    same = cases("a a a", "a a a")

    with pytest.raises(UndefinedEstimate, match="all labels are the same"):
        krippendorff_alpha(same)
    assert percent_agreement(same).value == 1


def test_a_case_of_one_reviewer_changes_nothing() -> None:
    rated = cases("a b a b", "a b b b")

    assert krippendorff_alpha([*rated, {"one": "c"}]) == krippendorff_alpha(rated)


def test_a_disagreement_that_a_resample_may_lack_leaves_the_upper_end_open() -> None:
    """A third of the resamples lack the only case with the rare label."""
    found = krippendorff_alpha(cases("a " * 30 + "b", "a " * 30 + "a"))

    assert found.value == pytest.approx(0)
    assert -0.2 < found.low < 0
    assert found.high == 1


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_the_interval_of_alpha_covers_the_truth(kept: float) -> None:
    """Two who see the truth by this chance both see it by its square; else a coin decides."""
    rng = np.random.default_rng(1)
    found = [krippendorff_alpha(drawn(60, kept, rng), resamples=400) for _ in range(300)]

    assert np.mean([one.low <= kept**2 <= one.high for one in found]) > 0.92
