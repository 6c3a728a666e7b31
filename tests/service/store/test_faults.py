"""Error codes of the drivers, as reasons with a next step."""

from __future__ import annotations

from typing import get_args

import pytest
from sqlalchemy.exc import DBAPIError

from service.store.errors import Reason
from service.store.faults import _postgres_reason, _sqlite_reason, translated, unavailable
from tests.service.store.examples import SECRET_TEXT


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_says_what_was_found_and_what_to_do(reason: Reason) -> None:
    error = unavailable("sqlite:///review.db", reason, "CODE 1")

    assert error.reason == reason
    assert str(error).startswith("expected the review store sqlite:///review.db to answer")
    assert " (CODE 1); " in str(error)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SQLITE_BUSY", "locked"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_FULL", "full"),
        ("SQLITE_READONLY_DIRECTORY", "read_only"),
        ("SQLITE_CORRUPT_INDEX", "corrupt"),
        ("SQLITE_IOERR_FSYNC", "failed"),
        ("SQLITE_FULLER", "failed"),
    ],
)
def test_sqlite_codes(name: str, reason: Reason) -> None:
    assert _sqlite_reason(name, "") == reason


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("53100", "full"),
        ("53300", "busy"),
        ("55P03", "locked"),
        ("40P01", "locked"),
        ("57014", "timeout"),
        ("57P01", "unreachable"),
        ("25006", "read_only"),
        ("42P01", "schema"),
        ("23505", "failed"),
        ("08006", "unreachable"),
    ],
)
def test_postgres_codes(state: str, reason: Reason) -> None:
    assert _postgres_reason(state) == reason


def test_a_driver_error_without_any_code_is_not_quoted() -> None:
    """Its message may hold the row's values, and messages reach logs."""
    error = DBAPIError("INSERT INTO flags", {}, RuntimeError(f"cannot adapt {SECRET_TEXT!r}"))

    told = translated(error, "sqlite:///review.db")

    assert told.reason == "failed"
    assert SECRET_TEXT not in str(told)
