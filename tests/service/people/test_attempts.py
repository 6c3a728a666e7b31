"""How long somebody waits who keeps failing, and what counts as one address."""

from __future__ import annotations

import pytest

from service.people.attempts import NAME_FREE, WAIT_SECONDS_MAX, address_group, wait_seconds


def test_the_first_failures_are_free_and_then_the_wait_doubles() -> None:
    waits = [wait_seconds(failures, 5) for failures in range(1, 12)]

    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64]


def test_the_wait_has_a_limit() -> None:
    """Without one, a stranger's guesses would keep somebody out for years."""
    assert wait_seconds(10_000_000, NAME_FREE) == WAIT_SECONDS_MAX == 900


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("testclient", "unknown", True),
    ],
)
def test_an_address_is_what_one_customer_has(one: str, other: str, same: bool) -> None:
    """Whoever has IPv6 has 2**64 addresses: counting each would count nothing."""
    assert (address_group(one) == address_group(other)) == same
