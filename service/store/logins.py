"""Counting failures to log in, in the database, so that all gateways count the same ones.

An attempt counts as failed from the moment it begins: many that are made at once each count,
and none of them runs ahead of the others' failure. Names and addresses are kept as digests,
because people type their passwords into the field for the name.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update

from service.people.attempts import (
    ADDRESS_FREE,
    FORGET_SECONDS,
    NAME_FREE,
    address_group,
    wait_seconds,
)
from service.store.audit import add_entry
from service.store.database import Database
from service.store.tables import login_failures
from service.store.turns import Now, moment_of

_NOBODY = "(no such person)"


class Logins:
    """Who tried, and has to wait."""

    def __init__(self, database: Database, now: Now | None = None) -> None:
        self._database, self._now = database, now

    def begin(self, name: str, address: str) -> float:
        """Count an attempt, before the password is looked at.

        Returns:
            Seconds to wait; 0 exactly when the attempt may be made, and then it is counted.

        Raises:
            StoreUnavailable: the database failed, so nobody may try.
        """
        keys = (
            (_key("name", name), NAME_FREE),
            (_key("address", address_group(address)), ADDRESS_FREE),
        )
        wait = self._wait_of([key for key, _ in keys])
        if wait > 0:
            return wait
        with self._database.writing() as connection:
            moment = moment_of(connection, self._now)
            self._forget_old(connection, moment)
            counts = [(key, free, *self._count(connection, key, moment)) for key, free in keys]
            wait = max((until - moment).total_seconds() for *_, until in counts)
            if wait > 0:
                return wait
            for key, free, failures, _ in counts:
                until = moment + timedelta(seconds=wait_seconds(failures + 1, free))
                connection.execute(
                    update(login_failures)
                    .where(login_failures.c.key == key)
                    .values(failures=failures + 1, at=moment, wait_until=until)
                )
        return 0.0

    def record_failure(self, name: str | None, address: str) -> None:
        """Put a failure on record; `name` is None where there is nobody of that name.

        Raises:
            StoreUnavailable: the database failed.
        """
        who = name or _NOBODY
        with self._database.writing() as connection:
            add_entry(
                connection,
                actor=who,
                action="person.login_failed",
                subject=who,
                before=None,
                after=None,
                reason=f"from {address_group(address)}",
            )

    def _wait_of(self, keys: list[str]) -> float:
        """The wait as far as it is committed: whoever has to wait does not keep writers waiting."""
        asked = select(func.max(login_failures.c.wait_until)).where(login_failures.c.key.in_(keys))
        with self._database.reading() as connection:
            until = connection.execute(asked).scalar_one_or_none()
            moment = moment_of(connection, self._now)
        return 0.0 if until is None else (until - moment).total_seconds()

    def _count(self, connection: Connection, key: str, moment: datetime) -> tuple[int, datetime]:
        """Failures so far and until when to wait; the row is ours until the transaction ends."""
        add = self._database.insert_once(login_failures, key="key")
        connection.execute(add.values(key=key, failures=0, at=moment, wait_until=moment))
        asked = select(login_failures).where(login_failures.c.key == key).with_for_update()
        row = connection.execute(asked).one()
        if (moment - row.at).total_seconds() >= FORGET_SECONDS:
            return 0, moment
        return row.failures, row.wait_until

    def _forget_old(self, connection: Connection, moment: datetime) -> None:
        """Delete counts that no longer matter, except those that somebody is just adding to."""
        old = (
            select(login_failures.c.key)
            .where(login_failures.c.at <= moment - timedelta(seconds=FORGET_SECONDS))
            .limit(100)
            .with_for_update(skip_locked=True)
        )
        connection.execute(delete(login_failures).where(login_failures.c.key.in_(old)))


def forgive(connection: Connection, name: str, address: str) -> None:
    """After a success: the name begins again, and the address loses the one that was no failure.

    The address keeps its other failures: else whoever has one password of their own could
    log in between guesses at those of others.
    """
    address_key = _key("address", address_group(address))
    connection.execute(delete(login_failures).where(login_failures.c.key == _key("name", name)))
    connection.execute(
        update(login_failures)
        .where(login_failures.c.key == address_key, login_failures.c.failures > 0)
        .values(failures=login_failures.c.failures - 1, wait_until=login_failures.c.at)
    )


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode("utf-8", "surrogatepass")).hexdigest()
