"""The words of people who log in, as plain data: persons, sessions, one-time links.

A name is what somebody types and what stands in the record: plain letters, so that no two
look alike. A display name is what others read, and may be any text. Secrets are made and
digested here and nowhere else; what is stored is the digest.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.people.errors import NameRefused
from service.people.roles import PersonRole

NAME_CHARS_MAX = 64
DISPLAY_CHARS_MAX = 100
LINK_SECONDS = 24 * 3600
"""How long a one-time link is good."""

_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{NAME_CHARS_MAX - 1}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can log in, or could."""

    name: str
    """What they log in with; never changes, and is never given to another."""
    display_name: str
    """What others see. Any text."""
    role: PersonRole
    """What they may do."""
    created_at: datetime
    """When they first set a password."""
    disabled_at: datetime | None
    """When they stopped being able to log in; None while they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who is logged in, in one browser."""

    person: Person
    """Who, with the role that they have at this moment."""
    created_at: datetime
    """When they logged in."""
    seen_at: datetime
    """When they last asked for something, up to a minute earlier than they did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """When a session ends by itself."""

    idle_seconds: float
    """Without a request for this long."""
    absolute_seconds: float
    """After the login, whatever was asked."""


class Purpose(StrEnum):
    """What a one-time link is for."""

    FIRST = "first"
    """The first person, who chooses a name and becomes admin."""
    JOIN = "join"
    """A new person of a given name and role."""
    RESET = "reset"
    """A new password for somebody who is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a one-time link opens."""

    purpose: Purpose
    """What it is for."""
    name: str | None
    """Whom; None exactly for the first person."""
    role: PersonRole
    """What they become."""
    expires_at: datetime
    """When it stops being good."""


def normal_name(typed: str) -> str:
    """A name as it is kept: what somebody types may have capitals and spaces around it."""
    return typed.strip().lower()


def require_name(typed: str) -> str:
    """The name in its normal form.

    Raises:
        NameRefused: it has other characters than plain letters, digits, dot, dash, underscore.
    """
    name = normal_name(typed)
    if not _NAME.fullmatch(name):
        raise NameRefused(
            f"a name of 1 to {NAME_CHARS_MAX} letters a to z, digits, dots, dashes or underscores, "
            "which begins with a letter or digit"
        )
    return name


def require_display_name(typed: str) -> str:
    """The display name without spaces around it.

    Raises:
        NameRefused: it is empty or too long.
    """
    shown = typed.strip()
    if not shown or len(shown) > DISPLAY_CHARS_MAX:
        raise NameRefused(f"a display name of 1 to {DISPLAY_CHARS_MAX} characters")
    return shown


def new_secret() -> str:
    """256 random bits, for a session or a link."""
    return secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """What is stored of a secret. 256 random bits cannot be guessed from their SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
