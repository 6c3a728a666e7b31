"""Sessions: who is logged in. A cookie is 256 random bits, and only its digest is kept.

A session is looked up at every request and together with its person, so whatever ends it,
ends it at once and on every gateway: a logout, a disabled person, another role, another
password, time. A session that ended is deleted; that it was, the audit tells.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from service.people.person import Session, SessionLimits, digest_of, new_secret
from service.store.audit import add_entry
from service.store.database import Database
from service.store.logins import forgive
from service.store.people import end_sessions, is_enabled, locked_person, person_of_row
from service.store.tables import people, sessions
from service.store.turns import Now, moment_of

_SEEN_SECONDS = 60.0
"""How far the moment of the last request may lag behind: not every request writes."""


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        self._database, self._now = database, now

    def open(
        self, name: str, *, verified: str, address: str, replaces: str | None, limits: SessionLimits
    ) -> str | None:
        """Log somebody in; the cookie's secret, which exists in full only here.

        Args:
            name: who.
            verified: the hash against which they showed that they know the password.
            address: where they are, as counted among failures.
            replaces: the secret that their browser had until now, which ends.
            limits: sessions that are over by these are deleted.

        Returns:
            None where that hash stands no longer, or they were disabled meanwhile.

        Raises:
            StoreUnavailable: the database failed; nobody is logged in.
        """
        token = new_secret()
        with self._database.writing() as connection:
            this = is_enabled(name) & (people.c.password == verified)
            locked = select(people.c.role).where(this).with_for_update()
            if connection.execute(locked).first() is None:
                return None
            moment = moment_of(connection, self._now)
            forgive(connection, name, address)
            over = sessions.c.created_at <= moment - timedelta(seconds=limits.absolute_seconds)
            old = over if replaces is None else over | (sessions.c.digest == digest_of(replaces))
            connection.execute(delete(sessions).where(old))
            connection.execute(
                insert(sessions).values(
                    digest=digest_of(token), person=name, created_at=moment, seen_at=moment
                )
            )
            add_entry(
                connection,
                actor=name,
                action="person.login",
                subject=name,
                before=None,
                after=None,
                reason=f"from {address}",
            )
        return token

    def holder(self, token: str, limits: SessionLimits) -> Session | None:
        """Whose session a cookie is; None where it is no session, or none any more.

        Raises:
            StoreUnavailable: the database failed, so nobody can be let in.
        """
        digest = digest_of(token)
        asked = (
            select(people, sessions.c.created_at.label("opened_at"), sessions.c.seen_at)
            .join(sessions, sessions.c.person == people.c.name)
            .where(sessions.c.digest == digest, people.c.disabled_at.is_(None))
        )
        with self._database.reading() as connection:
            row = connection.execute(asked).mappings().first()
            moment = moment_of(connection, self._now)
        if row is None or _is_over(row["opened_at"], row["seen_at"], moment, limits):
            return None
        if (moment - row["seen_at"]).total_seconds() > min(_SEEN_SECONDS, limits.idle_seconds / 10):
            self._see(digest, moment)
        return Session(
            person=person_of_row(row), created_at=row["opened_at"], seen_at=row["seen_at"]
        )

    def end(self, token: str) -> None:
        """Log a browser out. A cookie that is no session changes nothing.

        Raises:
            StoreUnavailable: the database failed; the session stands.
        """
        ended = delete(sessions).where(sessions.c.digest == digest_of(token))
        with self._database.writing() as connection:
            name = connection.execute(ended.returning(sessions.c.person)).scalar_one_or_none()
            if name is not None:
                add_entry(
                    connection,
                    actor=name,
                    action="person.logout",
                    subject=name,
                    before=None,
                    after=None,
                    reason="",
                )

    def end_all(self, name: str, *, by: str, reason: str = "") -> int:
        """Log somebody out everywhere; how many sessions that ended.

        Raises:
            UnknownPerson: nobody of that name can log in.
            StoreUnavailable: the database failed; the sessions stand.
        """
        with self._database.writing() as connection:
            locked_person(connection, name)
            ended = end_sessions(connection, name)
            add_entry(
                connection,
                actor=by,
                action="person.revoke_sessions",
                subject=name,
                before=f"{ended} sessions",
                after=None,
                reason=reason,
            )
        return ended

    def _see(self, digest: str, moment: datetime) -> None:
        seen = update(sessions).where(sessions.c.digest == digest, sessions.c.seen_at < moment)
        with self._database.writing() as connection:
            connection.execute(seen.values(seen_at=moment))


def _is_over(opened: datetime, seen: datetime, moment: datetime, limits: SessionLimits) -> bool:
    idle = (moment - seen).total_seconds() >= limits.idle_seconds
    return idle or (moment - opened).total_seconds() >= limits.absolute_seconds
