"""People: who can log in, as what, and until when; changed only together with an audit line.

What somebody may do is looked up at every request, so a change of their role or of their
password also ends their sessions: whoever holds a cookie has to show who they are again.
People are disabled and never deleted, because verdicts and the record name them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, RowMapping, delete, select, update

from service.people.errors import UnknownPerson
from service.people.person import Person
from service.people.roles import PersonRole
from service.store.audit import add_entry
from service.store.database import Database
from service.store.tables import invitations, people, sessions
from service.store.turns import Now, moment_of


class People:
    """Who there is."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        self._database, self._now = database, now

    def list(self) -> tuple[Person, ...]:
        """Everybody there ever was, by name.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._database.reading() as connection:
            rows = connection.execute(select(people).order_by(people.c.name)).mappings()
            return tuple(person_of_row(row) for row in rows)

    def password_of(self, name: str) -> str | None:
        """The hash of the password of somebody who can log in; None where nobody can.

        Raises:
            StoreUnavailable: the database failed.
        """
        asked = select(people.c.password).where(is_enabled(name))
        with self._database.reading() as connection:
            return connection.execute(asked).scalar_one_or_none()

    def set_role(self, name: str, role: PersonRole, *, by: str, reason: str = "") -> None:
        """Let somebody be something else from now on, and end their sessions.

        Raises:
            UnknownPerson: nobody of that name can log in.
            StoreUnavailable: the database failed; nothing changed.
        """
        with self._database.writing() as connection:
            before = locked_person(connection, name).role
            connection.execute(update(people).where(people.c.name == name).values(role=role.value))
            end_sessions(connection, name)
            _record(connection, by, "role", name, before, role.value, reason)

    def disable(self, name: str, *, by: str, reason: str = "") -> None:
        """Let somebody log in no longer; their sessions and links end at once.

        Raises:
            UnknownPerson: nobody of that name can log in.
            StoreUnavailable: the database failed; nothing changed.
        """
        with self._database.writing() as connection:
            before = locked_person(connection, name).role
            moment = moment_of(connection, self._now)
            connection.execute(
                update(people).where(people.c.name == name).values(disabled_at=moment)
            )
            connection.execute(delete(invitations).where(invitations.c.person == name))
            end_sessions(connection, name)
            _record(connection, by, "disable", name, before, None, reason)

    def change_password(self, name: str, *, verified: str, password: str) -> bool:
        """Keep another hash, and end all sessions; False where the old one stands no longer.

        Args:
            name: whose.
            verified: the hash of the old password, against which they showed that they know it.
            password: the hash of the new one.

        Raises:
            StoreUnavailable: the database failed; nothing changed.
        """
        with self._database.writing() as connection:
            if not _replace(connection, name, verified, password):
                return False
            connection.execute(delete(invitations).where(invitations.c.person == name))
            end_sessions(connection, name)
            _record(connection, name, "password", name, None, None, "changed by themselves")
        return True

    def renew_password(self, name: str, *, verified: str, password: str) -> bool:
        """Keep a harder hash of the same password; False where the old one stands no longer.

        Raises:
            StoreUnavailable: the database failed; the old hash stands.
        """
        with self._database.writing() as connection:
            return _replace(connection, name, verified, password)


def locked_person(connection: Connection, name: str) -> Row[Any]:
    """The row of somebody who can log in, unchanged by others until the transaction ends.

    Raises:
        UnknownPerson: nobody of that name can.
    """
    row = connection.execute(select(people).where(is_enabled(name)).with_for_update()).first()
    if row is None:
        raise UnknownPerson(name)
    return row


def end_sessions(connection: Connection, name: str) -> int:
    """Log somebody out everywhere; how many sessions that ended."""
    return connection.execute(delete(sessions).where(sessions.c.person == name)).rowcount


def is_enabled(name: str) -> ColumnElement[bool]:
    """Whether a row is that of this person, who can log in."""
    return (people.c.name == name) & people.c.disabled_at.is_(None)


def person_of_row(row: RowMapping) -> Person:
    """A row of the table as a person, without the password."""
    return Person(
        name=row["name"],
        display_name=row["display_name"],
        role=PersonRole(row["role"]),
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
    )


def _replace(connection: Connection, name: str, verified: str, password: str) -> bool:
    this = is_enabled(name) & (people.c.password == verified)
    return connection.execute(update(people).where(this).values(password=password)).rowcount == 1


def _record(
    connection: Connection,
    by: str,
    what: str,
    name: str,
    before: str | None,
    after: str | None,
    reason: str,
) -> None:
    add_entry(
        connection,
        actor=by,
        action=f"person.{what}",
        subject=name,
        before=before,
        after=after,
        reason=reason,
    )
