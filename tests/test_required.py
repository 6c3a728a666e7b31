"""In CI nothing that could be installed is left out: a skip is a failure there."""

from __future__ import annotations

import pytest

HOOKS = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport"
WAYS = {
    "in the body": "def test_it():\n    pytest.skip('REASON')",
    "by a marker": "@pytest.mark.skipif(True, reason='REASON')\ndef test_it(): pass",
    "in a fixture": (
        "@pytest.fixture\ndef part():\n    pytest.skip('REASON')\ndef test_it(part): pass"
    ),
    "of the file": "pytest.skip('REASON', allow_module_level=True)",
}


def outcomes(pytester: pytest.Pytester, code: str, imports: str = HOOKS) -> dict[str, int]:
    """What this project's hooks make of a file of tests; warnings are not counted."""
    pytester.makeconftest(imports)
    pytester.makepyfile(f"import pytest\n{code}")
    found = pytester.runpytest_inprocess("--disable-warnings").parseoutcomes()
    return {kind: count for kind, count in found.items() if kind != "warnings"}


@pytest.mark.parametrize("way", WAYS)
def test_a_test_for_a_part_that_is_missing_fails_where_all_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Else CI would be green for as long as its browser cannot be started."""
    monkeypatch.setenv("REQUIRE_ALL", "1")

    found = outcomes(pytester, WAYS[way].replace("REASON", "no browser is installed"))

    assert "skipped" not in found
    assert found.get("failed", 0) + found.get("errors", 0) >= 1


@pytest.mark.parametrize("way", WAYS)
def test_elsewhere_it_is_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.delenv("REQUIRE_ALL", raising=False)

    found = outcomes(pytester, WAYS[way].replace("REASON", "no browser is installed"))

    assert found == {"skipped": 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "reason", ["PROBEWATCH_TEST_ASSETS is not set: so", "root may write to every file"]
)
def test_what_no_installation_would_cure_may_be_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, way: str, reason: str
) -> None:
    monkeypatch.setenv("REQUIRE_ALL", "1")

    assert outcomes(pytester, WAYS[way].replace("REASON", reason)) == {"skipped": 1}


def test_a_failure_that_is_expected_is_no_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUIRE_ALL", "1")

    found = outcomes(pytester, "@pytest.mark.xfail(strict=True)\ndef test_it(): assert False")

    assert found == {"xfailed": 1}


def test_an_asset_folder_without_models_is_a_failure_and_no_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names a folder wants its tests; a mistyped one must not pass for none."""
    monkeypatch.setattr("tests.conftest.ASSETS", str(pytester.path / "mistyped"))

    found = outcomes(
        pytester, "def test_it(assets): pass", imports="from tests.conftest import assets"
    )

    assert found == {"errors": 1}
