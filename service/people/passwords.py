"""Passwords: which are good enough, how they are kept, how one is checked.

The rules are NIST's (SP 800-63B): length counts, composition does not, and what everybody
tries first is refused. They are kept as argon2id hashes. Checking takes the same work
whether or not there is anybody of that name, so that the time tells nothing.
"""

from __future__ import annotations

import base64
import secrets
import unicodedata
from dataclasses import dataclass

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY

from service.people.commonest import is_common
from service.people.errors import PasswordRefused

PASSWORD_CHARS_MIN = 12
PASSWORD_CHARS_MAX = 1024
BESIDE_NAME_CHARS_MIN = 8
"""What must be left of a password when its owner's names are taken out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of checking a password."""

    right: bool
    """Whether it is the one."""
    renewed: str | None = None
    """A new hash to keep, where the old one took less work than is asked for now."""


class Passwords:
    """Hashes and checks; how much work that is, is decided here."""

    def __init__(self, profile: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(profile)
        self._nobody = _never_matching(profile)

    def hash(self, password: str) -> str:
        """What is kept of a password: the hash with its salt and parameters."""
        return self._hasher.hash(_bytes(password))

    def check(self, password: str, kept: str | None) -> Checked:
        """Whether a password is the one of which `kept` is the hash.

        Args:
            password: as it was typed.
            kept: the hash; None where there is nobody, which takes as long and is never right.
        """
        if not self._matches(password, self._nobody if kept is None else kept) or kept is None:
            return Checked(right=False)
        if self._hasher.check_needs_rehash(kept):
            return Checked(right=True, renewed=self.hash(password))
        return Checked(right=True)

    def _matches(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(kept, _bytes(password))
        except (Argon2Error, InvalidHashError):
            return False


def require_password(password: str, *, names: tuple[str, ...]) -> None:
    """Refuse a password that would soon be guessed.

    Args:
        password: as it was typed.
        names: what its owner is called.

    Raises:
        PasswordRefused: it is too short, too long, common, or hardly more than a name.
    """
    normal = unicodedata.normalize("NFKC", password)
    if len(normal) < PASSWORD_CHARS_MIN:
        raise PasswordRefused(
            f"is shorter than {PASSWORD_CHARS_MIN} characters", "take some words that you remember"
        )
    if len(normal) > PASSWORD_CHARS_MAX:
        raise PasswordRefused(f"is longer than {PASSWORD_CHARS_MAX} characters", "shorten it")
    if is_common(normal):
        raise PasswordRefused(
            "is among those that are tried first", "take words that do not belong together"
        )
    rest = normal.casefold()
    for name in names:
        rest = rest.replace(unicodedata.normalize("NFKC", name).casefold(), "")
    if len(rest) < BESIDE_NAME_CHARS_MIN:
        raise PasswordRefused("is hardly more than your name", "leave your name out of it")


def _bytes(password: str) -> bytes:
    """The same letters, however a keyboard composes them, are the same password."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _never_matching(profile: Parameters) -> str:
    """A hash of nothing that anybody knows, which takes as long to check as a real one."""
    salt, made_up = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (profile.salt_len, profile.hash_len)
    )
    work = f"m={profile.memory_cost},t={profile.time_cost},p={profile.parallelism}"
    return f"$argon2id$v={profile.version}${work}${salt}${made_up}"
