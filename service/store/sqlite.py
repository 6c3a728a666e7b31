"""SQLite: one file, one writer, as many readers as there are threads.

Write-ahead log with `synchronous=FULL`: when a commit returns, the row is on the
disk. There is exactly one writing connection, because SQLite 3.7.0 to 3.51.2 can
corrupt its log when two of them meet; a second process that writes to the same
file, such as the command line beside a running service, waits at a lock file.
Readers are opened read-only, so they cannot become writers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Insert, QueuePool, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import ConnectionPoolEntry

from service.store.errors import StoreMisconfigured
from service.store.faults import driver_errors_as_ours, unavailable

_READERS_MAX = 8
_LOCK_POLL_SECONDS = 0.005
_PRIVATE = 0o600


class SqliteDatabase:
    """A `Database` in one file."""

    def __init__(self, path: Path, *, timeout_seconds: float) -> None:
        """Open the file, making it when there is none. Only its owner may read it.

        Raises:
            StoreUnavailable: the file cannot be opened or written, or is no database.
            StoreMisconfigured: its directory cannot hold a write-ahead log.
        """
        self.address = f"sqlite:///{path}"
        self._path, self._timeout_seconds = path, timeout_seconds
        self._turn = threading.Lock()
        self._closed = False
        self._lock_file = -1
        self._writer = self._engine("rw", connections=1)
        self._readers = self._engine("ro", connections=_READERS_MAX)
        event.listen(self._writer, "connect", self._make_durable)
        event.listen(self._writer, "begin", _begin_writing)
        event.listen(self._readers, "begin", _begin_reading)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Database.reading`."""
        self._require_open()
        with driver_errors_as_ours(self.address), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Connection]:
        """See `Database.writing`. A writer is always alone here."""
        self._require_open()
        with driver_errors_as_ours(self.address), self._one_at_a_time():
            self._require_same_file()
            with self._writer.begin() as connection:
                yield connection

    def insert_once(self, table: Table, *, key: str) -> Insert:
        """See `Database.insert_once`."""
        return insert(table).on_conflict_do_nothing(index_elements=[key])

    def close(self) -> None:
        """See `Database.close`. The log is folded into the file."""
        self._closed = True
        with self._turn:
            self._readers.dispose()
            self._writer.dispose()
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1

    def _open(self) -> None:
        with driver_errors_as_ours(self.address):
            if not self._path.parent.is_dir():
                detail = f"no directory {self._path.parent}"
                raise unavailable(self.address, "unreachable", detail)
            _create_private(self._path)
            self._lock_file = _open_private(self._path.with_name(f"{self._path.name}-writer"))
            self._identity = self._identify()
            with self._one_at_a_time(), self._writer.connect():
                pass

    def _engine(self, mode: str, *, connections: int) -> Engine:
        target = f"file:{quote(str(self._path))}?mode={mode}"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                target,
                uri=True,
                timeout=self._timeout_seconds,
                isolation_level=None,
                check_same_thread=False,
            )

        return create_engine(
            "sqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._timeout_seconds,
            hide_parameters=True,
        )

    def _make_durable(self, connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreMisconfigured(
                f"{self.address} keeps its journal as {mode!r}",
                "a file on a local disk, where SQLite can keep a write-ahead log",
            )
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "fullfsync=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Wait for the other threads, then for the other processes."""
        deadline = time.monotonic() + self._timeout_seconds
        if not self._turn.acquire(timeout=self._timeout_seconds):
            raise unavailable(self.address, "busy", "other threads are writing")
        try:
            self._require_open()
            while not _try_lock(self._lock_file):
                if time.monotonic() >= deadline:
                    raise unavailable(self.address, "locked", "another process is writing")
                time.sleep(_LOCK_POLL_SECONDS)
            try:
                yield
            finally:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        finally:
            self._turn.release()

    def _identify(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_dev, found.st_ino

    def _require_same_file(self) -> None:
        """Rows written to a deleted file would be lost without any error."""
        try:
            same = self._identify() == self._identity
        except FileNotFoundError:
            same = False
        if not same:
            raise unavailable(self.address, "moved")

    def _require_open(self) -> None:
        if self._closed:
            raise unavailable(self.address, "closed")


def _begin_writing(connection: Connection) -> None:
    """Take the write lock at once: upgrading a read lock fails at once when another holds it."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _create_private(path: Path) -> None:
    """Make the file unless it exists. Closing an existing one would end SQLite's locks on it."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE))


def _open_private(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
