"""A rate in a sentence is a percentage, an area is not, and no figure becomes another."""

from __future__ import annotations

import pytest

from tests.training.report.examples import Json, area, share
from training.report.findings import in_per_cent

RATE = "0.990 [0.946, 1.000] n=100"
FIGURES: Json = {
    "tests": [
        {
            "recall": share(99, 100),
            "false_alarms": share(2, 100),
            "auroc": {"value": 0.9991, "low": 0.984, "high": 1.0, "n": 360},
            "tokens": {"value": 1.0, "low": 1.0, "high": 1.0, "n": 99},
        }
    ],
    "points": [{"recall": {"value": 0.3, "low": 0.2, "high": 0.77, "n": 5}}],
}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (f"It catches {RATE} of them.", "It catches 99.0% [94.6, 100.0] n=100 of them."),
        (
            "It catches 0.300 in the median of 5 draws (0.200 to 0.770).",
            "It catches 30.0% in the median of 5 draws (20.0 to 77.0%).",
        ),
        (
            f"{RATE} of a, 0.980 undisturbed; AUROC 0.999 [0.984, 1.000] n=360, 0.997 undisturbed",
            "99.0% [94.6, 100.0] n=100 of a, 98.0% undisturbed; "
            "AUROC 0.999 [0.984, 1.000] n=360, 0.997 undisturbed",
        ),
        ("a false-positive rate of 0.001; at least", "a false-positive rate of 0.1%; at least"),
        ("a share of 5.3e-05 of the model's", "a share of 0.0053% of the model's"),
    ],
)
def test_a_rate_in_a_sentence_is_a_percentage(written: str, told: str) -> None:
    """0.990 beside 99.0% on one page is read as another figure, or as less than 1%."""
    assert in_per_cent(written, FIGURES) == told


@pytest.mark.parametrize(
    "written",
    [
        "AUROC 0.999 [0.984, 1.000] n=360",
        "a median of 1.000 [1.000, 1.000] n=99 tokens",
        "it trips 0.7% [0.1, 2.4] of 300 answers at a threshold of 0.498",
        "p = 0.010; it is alike at 0.55",
        f"{RATE[:-3]}101",
        "0.997 in the median of 5 draws (0.981 to 0.999)",
        "0.980 undisturbed",
    ],
)
def test_what_is_no_rate_of_the_section_stays_as_it_was_written(written: str) -> None:
    """A threshold of 49.8%, or one token as 100%, would be a figure that nobody measured."""
    assert in_per_cent(written, FIGURES) == written


def test_a_rate_that_an_area_shares_its_letters_with_is_not_guessed() -> None:
    both = {"recall": share(99, 100), "auroc": share(99, 100)}

    assert in_per_cent(f"It has {RATE}.", both) == f"It has {RATE}."


def test_a_section_of_areas_alone_has_no_rate() -> None:
    assert in_per_cent(f"It has {RATE}.", {"matrix": {"a": area(0.99)}}) == f"It has {RATE}."
