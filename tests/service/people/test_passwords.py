"""Passwords: which are refused, and how they are kept and checked."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY

from service.people.errors import PasswordRefused
from service.people.passwords import Passwords, require_password

GOOD = "seven herons ate my umbrella"
NAMES = ("anna.k", "Anna Karenina")


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "correct horse and a stapled battery",
        "x" * 8 + GOOD,
        "пароль из нескольких слов",
        "            spaces count too            ",
        "annabel and the twelve lighthouses",
        "a" * 500 + GOOD,
    ],
)
def test_length_is_enough(password: str) -> None:
    """Rules of composition make people write `Password1!`."""
    require_password(password, names=NAMES)


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("elevenchars", "shorter than 12"),
        ("", "shorter than 12"),
        ("x" * 600 + "yz" * 300, "longer than 1024"),
        ("password1234", "tried first"),
        ("Password2026!", "tried first"),
        ("P@ssw0rd!!2026", "tried first"),
        ("passwordpassword", "tried first"),
        ("correcthorsebatterystaple", "tried first"),
        ("correct horse battery staple", "tried first"),
        ("qwertyuiop123", "tried first"),
        ("1234567890123", "tried first"),
        ("abcabcabcabcabc", "tried first"),
        ("aaaaaaaaaaaaaaaa", "tried first"),
        ("1qaz2wsx3edc4rfv", "tried first"),
        ("probewatch-2026", "tried first"),
        ("Welcome-Summer-26", "tried first"),
        ("anna karenina", "your name"),
        ("AnnaKarenina1", "your name"),
        ("anna.k-anna.k-anna.k", "your name"),
        ("ann", "shorter than 12"),
    ],
)
def test_what_would_soon_be_guessed_is_refused(password: str, told: str) -> None:
    names = ("anna.k", "AnnaKarenina", "anna karenina")
    with pytest.raises(PasswordRefused, match=told) as refused:
        require_password(password, names=names)

    assert not password or password not in str(refused.value)


def test_a_name_within_a_longer_password_is_no_harm() -> None:
    require_password("planning to see the lighthouse", names=("ann", "Ann"))


def test_a_password_is_kept_as_argon2id_of_at_least_the_low_memory_profile() -> None:
    kept = Passwords().hash(GOOD)

    found = extract_parameters(kept)
    assert kept.startswith("$argon2id$")
    assert found.memory_cost >= RFC_9106_LOW_MEMORY.memory_cost == 65536
    assert found.time_cost >= RFC_9106_LOW_MEMORY.time_cost == 3
    assert GOOD not in kept


def test_two_people_with_one_password_have_different_hashes() -> None:
    passwords = Passwords(CHEAPEST)

    assert passwords.hash(GOOD) != passwords.hash(GOOD)


def test_only_the_password_itself_is_right() -> None:
    passwords = Passwords(CHEAPEST)
    kept = passwords.hash(GOOD)

    assert passwords.check(GOOD, kept).right
    for wrong in (GOOD.upper(), GOOD + " ", GOOD[:-1], "", "\x00", "\ud800"):
        assert not passwords.check(wrong, kept).right


def test_letters_that_look_the_same_on_two_keyboards_are_the_same_password() -> None:
    """One sends é, the other e and an accent; nobody can tell them apart."""
    passwords = Passwords(CHEAPEST)
    kept = passwords.hash("un r\u00e9veil tardif")

    assert passwords.check("un re\u0301veil tardif", kept).right


def test_a_hash_that_took_less_work_is_made_anew_at_the_next_login() -> None:
    kept = Passwords(CHEAPEST).hash(GOOD)

    checked = Passwords().check(GOOD, kept)

    assert checked.right
    assert checked.renewed is not None
    assert extract_parameters(checked.renewed).memory_cost == 65536
    assert Passwords().check(GOOD, checked.renewed).renewed is None


def test_a_wrong_password_renews_nothing() -> None:
    assert Passwords().check("wrong", Passwords(CHEAPEST).hash(GOOD)).renewed is None


def test_nobodys_password_takes_the_same_work_and_is_never_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If it took less, the time would tell which names exist."""
    checked: list[str] = []
    verify = PasswordHasher.verify

    def spy(hasher: PasswordHasher, kept: str, password: bytes) -> bool:
        checked.append(kept)
        return verify(hasher, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", spy)

    assert not Passwords().check(GOOD, None).right
    assert [extract_parameters(kept) for kept in checked] == [RFC_9106_LOW_MEMORY]


@pytest.mark.parametrize("damaged", ["", "$argon2id$", "plain text", "$argon2id$v=19$m=1$x$y"])
def test_a_damaged_hash_lets_nobody_in(damaged: str) -> None:
    assert not Passwords(CHEAPEST).check(GOOD, damaged).right
