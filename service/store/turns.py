"""What every claim and verdict begins with: whose turn it is, and what time.

**The database's clock decides.** Gateways that share one PostgreSQL have clocks of their
own. If theirs decided, a gateway that is ten minutes ahead would take every case from
whoever works on it: the fence would still refuse all verdicts but one, and an hour of
reading would be thrown away. There is one database, so there is one time. It is read
once per transaction, so that a verdict's moment is the one at which its lease held. A
SQLite file lies on one machine, whose clock is everybody's. A store that was made with
a clock of its own, as tests do, goes by that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, Integer, bindparam, func, select

from service.domain import utc_now
from service.store.columns import Moment

Now = Callable[[], datetime]
"""A clock; moments have a time zone."""

_TURNS = int.from_bytes(b"turn", "big")
_CLOCK = func.clock_timestamp(type_=Moment)
_LOCK = func.pg_advisory_xact_lock(_TURNS, bindparam("person", type_=Integer))
_MY_TURN = select(_CLOCK).select_from(_LOCK.alias("mine"))
"""The time once the lock is held: a FROM is there before what is selected from it."""


def moment_of(connection: Connection, now: Now | None) -> datetime:
    """The time that decides; `now` is the store's own clock, where it was made with one."""
    if now is not None:
        return now()
    if connection.dialect.name == "postgresql":
        return connection.execute(select(_CLOCK)).scalar_one()
    return utc_now()


def take_turn(connection: Connection, person: str, now: Now | None) -> datetime:
    """Wait until this person's other transactions have ended; then the time that decides.

    On PostgreSQL a statement looks for a person's verdicts as they were when it began,
    even where it then waits for the case's row. Somebody with two windows could so be given
    the case on which they are just ruling. On SQLite writers take turns anyway.
    """
    if connection.dialect.name != "postgresql":
        return moment_of(connection, now)
    digest = hashlib.sha256(person.encode("utf-8", "surrogatepass")).digest()
    mine = int.from_bytes(digest[:4], "big", signed=True)
    moment = connection.execute(_MY_TURN, {"person": mine}).scalar_one()
    return moment if now is None else now()
