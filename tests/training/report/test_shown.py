"""Figures are written in one way, and their names say in which unit."""

from __future__ import annotations

import pytest

from probing.estimates import Estimate
from training.report.shown import Unit, number, scaled, shown, unit_of

UNNAMED = Estimate(value=0.5, low=0.4, high=0.6, n=1200)
SHARES = (
    "recall",
    "false_alarms",
    "unmonitored",
    "caught",
    "fpr",
    "precision",
    "share",
    "missed",
    "changed",
    "repeated",
    "solved",
    "rate",
    "decisions_same",
    "before_sentence",
    "achieved",
    "below",
    "between",
    "above",
    "observed",
    "halted",
    "predicted",
    "low",
    "high",
    "fitted_on",
    "judged_on",
)
"""A name of the file for each word, and each whole name, that makes a share."""


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.01, Unit.SHARE, "1%"),
        (0.001, Unit.SHARE, "0.1%"),
        (5.331627e-05, Unit.SHARE, "0.005332%"),
        (1 / 3, Unit.SHARE, "33.33%"),
        (0.99951, Unit.AREA, "1.000"),
        (0.5, Unit.AREA, "0.500"),
        (1234.6, Unit.COUNT, "1,235"),
        (1234.56, Unit.HOURS, "1,234.6"),
        (12.0, Unit.PLAIN, "12"),
        (8402688.0, Unit.PLAIN, "8,402,688"),
        (14563.802, Unit.PLAIN, "14,564"),
        (999.9, Unit.PLAIN, "999.9"),
        (-14563.802, Unit.PLAIN, "-14,564"),
        (3.51314, Unit.PLAIN, "3.513"),
        (0.000229, Unit.PLAIN, "0.000229"),
    ],
)
def test_a_number_is_written_as_people_read_it(value: float, unit: Unit, told: str) -> None:
    """1.456e+04 microseconds, or a rate of 0.00533163%, is read wrongly or not at all."""
    assert number(value, unit) == told


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        (UNNAMED, "50.0% [40.0 to 60.0%], n = 1,200"),
        (Estimate(value=0.0074, low=0.0015, high=0.0213, n=408), "0.74% [0.15 to 2.13%], n = 408"),
        (Estimate(value=0.995, low=0.98, high=0.9996, n=400), "99.50% [98.00 to 99.96%], n = 400"),
        (Estimate(value=1.0, low=0.964, high=1.0, n=100), "100.0% [96.4 to 100.0%], n = 100"),
    ],
)
def test_a_share_near_an_end_has_a_decimal_more(figure: Estimate, told: str) -> None:
    """0.74% against at most 0.7% could not be told from it."""
    assert str(shown(figure, Unit.SHARE)) == told


def test_both_ends_of_an_interval_have_their_unit() -> None:
    """A limit that is not met is told by one of them alone."""
    letters = shown(UNNAMED, Unit.SHARE)

    assert (letters.low, letters.high) == ("40.0%", "60.0%")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *((name, Unit.SHARE) for name in SHARES),
        ("first_share: all", Unit.SHARE),
        ("bins: low", Unit.SHARE),
        ("threshold_low", Unit.PLAIN),
        ("auroc", Unit.AREA),
        ("log_pauc", Unit.AREA),
        ("auroc_before", Unit.AREA),
        ("tokens", Unit.PLAIN),
        ("threshold", Unit.PLAIN),
        ("brier", Unit.PLAIN),
    ],
)
def test_a_name_of_the_file_says_the_unit(name: str, unit: Unit) -> None:
    """A rate as a decimal beside percentages is taken for less than one per cent."""
    assert unit_of(name) is unit


def test_what_was_not_measured_stays_so_in_other_units() -> None:
    assert scaled(None, 10_000) is None
