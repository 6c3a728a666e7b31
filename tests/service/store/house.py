"""What tests of people share: limits, and people who joined as people do."""

from __future__ import annotations

from service.people.person import Person, SessionLimits
from service.people.roles import PersonRole
from service.store.review import ReviewStore

LIMITS = SessionLimits(idle_seconds=1800, absolute_seconds=43_200)
HOME = "192.0.2.1"
KEPT = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$kept-by-the-test"
"""What stands for the hash of a password where nobody checks one."""


def joined(store: ReviewStore, name: str = "anna", role: str = "auditor") -> Person:
    """Somebody who was invited and set a password."""
    link = store.invitations.join(name, PersonRole(role), by="op")
    return store.invitations.accept(link, name="", display_name=name.title(), password=KEPT)


def logged_in(store: ReviewStore, name: str = "anna", *, verified: str = KEPT) -> str:
    """A session of somebody's, without the password being asked for."""
    token = store.sessions.open(name, verified=verified, address=HOME, replaces=None, limits=LIMITS)
    assert token is not None
    return token


def recorded(store: ReviewStore) -> list[tuple[str, str, str]]:
    """Who did what to whom, oldest first."""
    lines = reversed(store.audit.latest(limit=500))
    return [(line.actor, line.action, line.subject) for line in lines]
