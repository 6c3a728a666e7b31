"""The one way to a store: from an address to open, migrated, durable tables."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from service.store.database import Database
from service.store.errors import StoreMisconfigured
from service.store.migrate import migrate
from service.store.postgres import PostgresDatabase
from service.store.review import ReviewStore
from service.store.sqlite import SqliteDatabase

_EXPECTED = (
    "sqlite:///relative.db, sqlite:////absolute.db or postgresql://user:password@host/database"
)


def open_store(url: str, *, timeout_seconds: float = 5.0) -> ReviewStore:
    """Open a database, bring its tables to this version and return the store.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host:port/database`.
        timeout_seconds: longest wait for a lock, a connection or an answer.

    Raises:
        StoreUnavailable: the database cannot be reached or written.
        StoreMisconfigured: the address is none of these, or the database cannot keep
            what it acknowledges.
    """
    database = _database(_parsed(url), timeout_seconds)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return ReviewStore(database)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreMisconfigured("its address cannot be read", _EXPECTED) from None


def _database(url: URL, timeout_seconds: float) -> Database:
    if url.drivername == "sqlite":
        if not url.database or url.database == ":memory:" or url.query:
            raise StoreMisconfigured("its address names no file, so nothing would last", _EXPECTED)
        return SqliteDatabase(Path(url.database).absolute(), timeout_seconds=timeout_seconds)
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return PostgresDatabase(url, timeout_seconds=timeout_seconds)
    raise StoreMisconfigured(f"{url.drivername!r} is no kind of store", _EXPECTED)
