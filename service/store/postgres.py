"""PostgreSQL through psycopg: any number of gateways on one database.

Nothing here waits without an end. The server cancels statements and lock waits
that take too long; a server that has stopped answering altogether cannot, so
every wait of the driver has a limit of its own, after which the connection is
given up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Insert, Table, create_engine, event, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.pool import ConnectionPoolEntry

from service.store.errors import StoreMisconfigured
from service.store.faults import driver_errors_as_ours, unavailable

_T = TypeVar("_T")

_CONNECTIONS = 8
_CONNECTIONS_MORE = 8
_GRACE_SECONDS = 1.0
_IN_LIBPQ_MIN_SECONDS = 2
_ADVISORY_LOCK = int.from_bytes(b"probewat", "big", signed=True)


class PostgresDatabase:
    """A `Database` on a PostgreSQL server."""

    def __init__(self, url: URL, *, timeout_seconds: float) -> None:
        """Connect once and look at what the server promises.

        Raises:
            StoreUnavailable: the server cannot be reached.
            StoreMisconfigured: it does not write through to disk, or cannot hold every character.
        """
        self.address = url.set(query={}).render_as_string(hide_password=True)
        self._timeout_seconds = timeout_seconds
        self._closed = False
        self._engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS_MORE,
            pool_timeout=timeout_seconds,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        event.listen(self._engine, "do_connect", self._connect)
        event.listen(self._engine, "connect", self._make_durable)
        try:
            self._require_promises()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`."""
        self._require_open()
        with driver_errors_as_ours(self.address), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Connection]:
        """See `Database.writing`."""
        self._require_open()
        with driver_errors_as_ours(self.address), self._engine.begin() as connection:
            if alone:
                connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection

    def insert_once(self, table: Table, *, key: str) -> Insert:
        """See `Database.insert_once`."""
        return insert(table).on_conflict_do_nothing(index_elements=[key])

    def close(self) -> None:
        """See `Database.close`."""
        self._closed = True
        self._engine.dispose()

    def _connect(
        self,
        dialect: Dialect,
        entry: ConnectionPoolEntry,
        args: list[Any],
        parameters: dict[str, Any],
    ) -> _BoundedConnection:
        whole_seconds = max(_IN_LIBPQ_MIN_SECONDS, round(self._timeout_seconds))
        limits = {
            "connect_timeout": whole_seconds,
            "tcp_user_timeout": whole_seconds * 1000,
            "client_encoding": "utf8",
            "application_name": "probewatch",
        }
        connection = _BoundedConnection.connect(*args, **(parameters | limits))
        connection.wait_seconds_max = self._timeout_seconds + _GRACE_SECONDS
        return connection

    def _make_durable(self, connection: _BoundedConnection, _: ConnectionPoolEntry) -> None:
        """Settings of the session, over what the role's or the database's defaults are."""
        milliseconds = round(self._timeout_seconds * 1000)
        settings = {
            "synchronous_commit": "on",
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": 2 * milliseconds,
        }
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, str(value)))
        connection.commit()

    def _require_promises(self) -> None:
        with self.reading() as connection:
            encoding = connection.scalar(text("SHOW server_encoding"))
            if encoding != "UTF8":
                raise StoreMisconfigured(
                    f"{self.address} keeps its text as {encoding}",
                    "a database with encoding UTF8, which can hold every character",
                )
            if connection.scalar(text("SHOW fsync")) != "on":
                raise StoreMisconfigured(
                    f"{self.address} runs with fsync off and can lose what it acknowledged",
                    "a server with fsync = on",
                )

    def _require_open(self) -> None:
        if self._closed:
            raise unavailable(self.address, "closed")


class _BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up a server that has stopped answering."""

    wait_seconds_max: float = 30.0

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        """Wait for the server, but not for ever.

        Raises:
            ConnectionTimeout: the server did not answer; the connection is closed.
        """
        limit = self.wait_seconds_max if timeout is None else min(timeout, self.wait_seconds_max)
        started = time.monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or time.monotonic() - started < limit:
                raise
            self.close()
            raise psycopg.errors.ConnectionTimeout("the server stopped answering") from None
