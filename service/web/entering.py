"""Logging in and setting passwords, step by step; all of it blocks and runs in a thread.

Each function does its work in the one order that gives nothing away: an attempt is counted
before a password is looked at, and the password is hashed whether or not there is anybody
of that name. No HTTP here.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.people.attempts import address_group
from service.people.passwords import Passwords, require_password
from service.people.person import (
    Invitation,
    Purpose,
    SessionLimits,
    normal_name,
    require_display_name,
    require_name,
)
from service.store.review import ReviewStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Gatehouse:
    """What logging in needs."""

    store: ReviewStore
    """Who there is, who is logged in, who failed how often."""
    passwords: Passwords
    """How they are hashed."""
    limits: SessionLimits
    """How long a session lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Where a login comes from."""

    address: str
    """The client's address."""
    session: str | None
    """The secret that its browser brought along, whether or not it is a session; it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What came of an attempt; exactly one is set, or neither where name or password is wrong."""

    token: str | None = None
    """The new session's secret."""
    wait_seconds: float | None = None
    """How long to wait, after too many failures."""


def enter(gatehouse: Gatehouse, caller: Caller, *, name: str, password: str) -> Entry:
    """Log somebody in by name and password.

    Raises:
        StoreError: the store failed, so nobody is let in.
    """
    store, name = gatehouse.store, normal_name(name)
    wait = store.logins.begin(name, caller.address)
    if wait > 0:
        return Entry(wait_seconds=wait)
    kept = store.people.password_of(name)
    checked = gatehouse.passwords.check(password, kept)
    if not checked.right or kept is None:
        store.logins.record_failure(None if kept is None else name, caller.address)
        return Entry()
    if checked.renewed is not None and store.people.renew_password(
        name, verified=kept, password=checked.renewed
    ):
        kept = checked.renewed
    return _opened(gatehouse, caller, name, kept)


def welcome(
    gatehouse: Gatehouse,
    caller: Caller,
    invitation: Invitation,
    *,
    token: str,
    name: str,
    display_name: str,
    password: str,
) -> Entry:
    """Set a password by a one-time link, and log in.

    Raises:
        PeopleRefused: the link, a name or the password; the link is still good unless it is it.
        StoreError: the store failed; nothing changed.
    """
    chosen = require_name(invitation.name or name)
    if invitation.purpose is not Purpose.RESET:
        display_name = require_display_name(display_name)
    require_password(password, names=(chosen, display_name))
    kept = gatehouse.passwords.hash(password)
    person = gatehouse.store.invitations.accept(
        token, name=chosen, display_name=display_name, password=kept
    )
    return _opened(gatehouse, caller, person.name, kept)


def change_password(
    gatehouse: Gatehouse, caller: Caller, *, names: tuple[str, str], old: str, new: str
) -> Entry:
    """Set another password, which ends all sessions, and begin a new one.

    Args:
        names: the person's name and display name.
        old: the password until now, counted as a login where it is wrong.
        new: the one from now on.

    Raises:
        PasswordRefused: the new one would soon be guessed.
        StoreError: the store failed; the old password stands.
    """
    store, name = gatehouse.store, names[0]
    require_password(new, names=names)
    wait = store.logins.begin(name, caller.address)
    if wait > 0:
        return Entry(wait_seconds=wait)
    kept = store.people.password_of(name)
    if kept is None or not gatehouse.passwords.check(old, kept).right:
        store.logins.record_failure(name, caller.address)
        return Entry()
    hashed = gatehouse.passwords.hash(new)
    if not store.people.change_password(name, verified=kept, password=hashed):
        return Entry()
    return _opened(gatehouse, caller, name, hashed)


def _opened(gatehouse: Gatehouse, caller: Caller, name: str, kept: str) -> Entry:
    token = gatehouse.store.sessions.open(
        name,
        verified=kept,
        address=address_group(caller.address),
        replaces=caller.session,
        limits=gatehouse.limits,
    )
    return Entry(token=token)
