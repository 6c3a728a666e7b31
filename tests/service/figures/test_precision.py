"""Confirmed of ruled: exact intervals, and no figure where nothing was ruled on."""

from __future__ import annotations

from probing.estimates import Estimate, rate
from service.figures.outcome import Undefined
from service.figures.precision import FlaggedCase, precision


def cases(version: str, *rulings: bool | None) -> list[FlaggedCase]:
    return [FlaggedCase(probe_version=version, misbehaving=ruling) for ruling in rulings]


def test_precision_is_confirmed_of_ruled_with_its_exact_interval() -> None:
    """Waiting cases in n would make every new flag look like a false alarm."""
    found = precision(cases("petty@1", *[True] * 8, False, False, None, None))

    assert found == {"petty@1": rate(8, 10)}


def test_versions_are_judged_apart() -> None:
    found = precision([*cases("petty@1", True, True), *cases("petty@2", False)])

    assert found == {"petty@1": rate(2, 2), "petty@2": rate(0, 1)}


def test_a_version_without_a_ruling_has_no_precision() -> None:
    """0 of 0 shown as 0% would take a probe out of service."""
    found = precision(cases("petty@3", None, None))["petty@3"]

    assert isinstance(found, Undefined)
    assert "none of its 2 cases is ruled on" in found.reason
    assert found.as_json() == {
        "value": None, "low": None, "high": None, "n": 0, "undefined": found.reason
    }  # fmt: skip


def test_no_cases_give_no_versions() -> None:
    assert precision([]) == {}


def test_a_figure_that_is_defined_is_an_estimate() -> None:
    assert isinstance(precision(cases("petty@1", True))["petty@1"], Estimate)
