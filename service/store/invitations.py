"""One-time links: how somebody gets a first password, or a new one.

A link is 256 random bits, is good for a day and once, and is kept as a digest. A newer
link for the same person replaces the older one. The link for the first person is good only
while there is nobody, so one that lies in a terminal's history opens nothing later.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from service.people.errors import LinkRefused, PersonExists
from service.people.person import (
    LINK_SECONDS,
    Invitation,
    Person,
    Purpose,
    digest_of,
    new_secret,
    require_display_name,
    require_name,
)
from service.people.roles import PersonRole
from service.store.audit import add_entry
from service.store.database import Database
from service.store.people import end_sessions, is_enabled, locked_person, person_of_row
from service.store.tables import invitations, people
from service.store.turns import Now, moment_of


class Invitations:
    """Makes links and takes them back."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        self._database, self._now = database, now

    def first(self, *, by: str) -> str | None:
        """A link with which the first person becomes admin; None once there is anybody.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._database.writing(alone=True) as connection:
            if connection.execute(select(people.c.name).limit(1)).first() is not None:
                return None
            return self._make(connection, Purpose.FIRST, None, PersonRole.ADMIN, by, "first run")

    def join(self, name: str, role: PersonRole, *, by: str, reason: str = "") -> str:
        """A link for somebody new.

        Raises:
            NameRefused: nobody could log in with that name.
            PersonExists: somebody has it, or had it once.
            StoreUnavailable: the database failed.
        """
        name = require_name(name)
        with self._database.writing(alone=True) as connection:
            _require_free(connection, name)
            return self._make(connection, Purpose.JOIN, name, role, by, reason)

    def reset(self, name: str, *, by: str, reason: str = "") -> str:
        """A link for a new password; the old one is good until the link is used.

        Raises:
            UnknownPerson: nobody of that name can log in.
            StoreUnavailable: the database failed.
        """
        with self._database.writing(alone=True) as connection:
            role = PersonRole(locked_person(connection, name).role)
            return self._make(connection, Purpose.RESET, name, role, by, reason)

    def find(self, token: str) -> Invitation | None:
        """What a link opens; None where it opens nothing. Looking uses nothing up.

        Raises:
            StoreUnavailable: the database failed.
        """
        asked = select(invitations).where(invitations.c.digest == digest_of(token))
        with self._database.reading() as connection:
            row = connection.execute(asked).mappings().first()
            if row is None or row["expires_at"] <= moment_of(connection, self._now):
                return None
            if row["purpose"] == Purpose.FIRST and _anybody(connection):
                return None
        return _invitation_of_row(row)

    def accept(self, token: str, *, name: str, display_name: str, password: str) -> Person:
        """Use a link up: make the person, or give them the new password.

        Args:
            token: the link's secret.
            name: what the first person wants to be called; no matter for other links.
            display_name: what others are to read; no matter for a new password.
            password: the hash of the password.

        Raises:
            LinkRefused: unknown, used, replaced or too old; nothing changed.
            NameRefused: nobody could log in with that name, or read it.
            PersonExists: somebody has the name.
            UnknownPerson: a new password for somebody who was disabled.
            StoreUnavailable: the database failed.
        """
        used = delete(invitations).where(invitations.c.digest == digest_of(token))
        with self._database.writing(alone=True) as connection:
            moment = moment_of(connection, self._now)
            row = connection.execute(used.returning(*invitations.c)).mappings().first()
            if row is None or row["expires_at"] <= moment:
                raise LinkRefused
            invitation = _invitation_of_row(row)
            if invitation.purpose is Purpose.RESET:
                return _reset(connection, invitation.name or "", password)
            if invitation.purpose is Purpose.FIRST and _anybody(connection):
                raise LinkRefused
            chosen = require_name(invitation.name or name)
            shown = require_display_name(display_name)
            return _add(connection, chosen, shown, invitation.role, password, moment)

    def _make(
        self,
        connection: Connection,
        purpose: Purpose,
        name: str | None,
        role: PersonRole,
        by: str,
        reason: str,
    ) -> str:
        token, moment = new_secret(), moment_of(connection, self._now)
        old = invitations.c.person.is_(None) if name is None else invitations.c.person == name
        connection.execute(delete(invitations).where(old | (invitations.c.expires_at <= moment)))
        connection.execute(
            insert(invitations).values(
                digest=digest_of(token),
                purpose=purpose.value,
                person=name,
                role=role.value,
                made_by=by,
                expires_at=moment + timedelta(seconds=LINK_SECONDS),
            )
        )
        add_entry(
            connection,
            actor=by,
            action=f"person.invite_{purpose.value}",
            subject=name or "the first person",
            before=None,
            after=role.value,
            reason=reason,
        )
        return token


def _anybody(connection: Connection) -> bool:
    return connection.execute(select(people.c.name).limit(1)).first() is not None


def _require_free(connection: Connection, name: str) -> None:
    if connection.execute(select(people.c.name).where(people.c.name == name)).first() is not None:
        raise PersonExists(name)


def _add(
    connection: Connection,
    name: str,
    display_name: str,
    role: PersonRole,
    password: str,
    moment: datetime,
) -> Person:
    _require_free(connection, name)
    added = insert(people).values(
        name=name,
        display_name=display_name,
        role=role.value,
        password=password,
        created_at=moment,
    )
    row = connection.execute(added.returning(*people.c)).mappings().one()
    _record_accepted(connection, "join", name, role.value)
    return person_of_row(row)


def _reset(connection: Connection, name: str, password: str) -> Person:
    locked_person(connection, name)
    changed = update(people).where(is_enabled(name)).values(password=password)
    row = connection.execute(changed.returning(*people.c)).mappings().one()
    end_sessions(connection, name)
    _record_accepted(connection, "password", name, None)
    return person_of_row(row)


def _record_accepted(connection: Connection, what: str, name: str, after: str | None) -> None:
    add_entry(
        connection,
        actor=name,
        action=f"person.{what}",
        subject=name,
        before=None,
        after=after,
        reason="by a one-time link",
    )


def _invitation_of_row(row: RowMapping) -> Invitation:
    return Invitation(
        purpose=Purpose(row["purpose"]),
        name=row["person"],
        role=PersonRole(row["role"]),
        expires_at=row["expires_at"],
    )
