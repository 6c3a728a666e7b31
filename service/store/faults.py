"""What a driver's failure means for the people who run the service.

Drivers fail in dozens of ways and quote values in their messages. Here each
becomes one of a few reasons with a next step, told by error codes alone.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.store.errors import Reason, StoreUnavailable

_SQLITE: dict[str, Reason] = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "SQLITE_READONLY": "read_only",
    "SQLITE_PERM": "read_only",
    "SQLITE_CANTOPEN": "unreachable",
    "SQLITE_CORRUPT": "corrupt",
    "SQLITE_NOTADB": "corrupt",
    "SQLITE_SCHEMA": "schema",
}

_POSTGRES: dict[str, Reason] = {
    "08": "unreachable",
    "25006": "read_only",
    "28": "unreachable",
    "3D": "unreachable",
    "42": "schema",
    "53100": "full",
    "53200": "busy",
    "53300": "busy",
    "55P03": "locked",
    "57014": "timeout",
    "57P": "unreachable",
    "58": "failed",
    "40": "locked",
    "XX": "corrupt",
}

_FULL_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_SAID: dict[Reason, tuple[str, str]] = {
    "busy": ("all its connections are in use", "lower the load or allow more connections"),
    "closed": ("it was closed", "open it again before using it"),
    "corrupt": ("it is damaged", "stop the service and restore the database from a backup"),
    "failed": ("it failed", "read the database's own log for the cause"),
    "full": ("its disk is full", "free space on the database's disk; nothing needs a restart"),
    "locked": ("it is locked by another process", "end what holds it, such as a shell or a backup"),
    "moved": (
        "its file was moved or deleted while open",
        "put the file back and restart the service",
    ),
    "read_only": ("it is read-only", "give the service's user the right to write it"),
    "schema": ("its tables are not this version's", "restart the service so that it migrates them"),
    "timeout": ("it did not answer in time", "look for long queries or a stalled disk"),
    "unreachable": ("it cannot be reached", "start the database and check its address"),
}


def unavailable(store: str, reason: Reason, detail: str = "") -> StoreUnavailable:
    """The error for a known reason; `detail` may hold codes, never values."""
    found, next_step = _SAID[reason]
    return StoreUnavailable(store, reason, f"{found} ({detail})" if detail else found, next_step)


@contextmanager
def driver_errors_as_ours(store: str) -> Iterator[None]:
    """Let no error of a driver, and none of its traceback, out of the store.

    Raises:
        StoreUnavailable: for every failure of the database.
        ValueError: a value that no column takes, such as a moment without a time zone.
    """
    try:
        yield
    except DBAPIError as error:
        raise translated(error, store) from None
    except StatementError as error:
        if isinstance(error.orig, ValueError):
            raise error.orig from None
        raise translated(error, store) from None
    except (SQLAlchemyError, OSError) as error:
        raise translated(error, store) from None


def translated(error: SQLAlchemyError | OSError, store: str) -> StoreUnavailable:
    """The error to raise in place of a driver's, `from None`."""
    if isinstance(error, OSError):
        full = error.errno in _FULL_ERRNO
        reason: Reason = "full" if full else "read_only" if error.errno in _DENIED else "failed"
        return unavailable(store, reason, error.strerror or type(error).__name__)
    if isinstance(error, PoolTimeout):
        return unavailable(store, "busy")
    if not isinstance(error, DBAPIError) or error.orig is None:
        return unavailable(store, "failed", type(error).__name__)
    return _from_driver(error, error.orig, store)


def _from_driver(error: DBAPIError, cause: BaseException, store: str) -> StoreUnavailable:
    name = getattr(cause, "sqlite_errorname", None)
    if name is not None:
        return unavailable(store, _sqlite_reason(name, str(cause)), name)
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return unavailable(store, _postgres_reason(state), f"SQLSTATE {state}")
    if error.statement is None:
        return unavailable(store, "unreachable", _while_connecting(cause))
    if error.connection_invalidated:
        return unavailable(store, "unreachable", "it ended the connection")
    return unavailable(store, "failed", type(cause).__name__)


def _while_connecting(cause: BaseException) -> str:
    """Why there is no connection. No statement was sent, so there is no value to quote."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(cause).__name__


def _sqlite_reason(name: str, message: str) -> Reason:
    if name == "SQLITE_ERROR" and message.startswith(("no such table", "no such column")):
        return "schema"
    for prefix, reason in _SQLITE.items():
        if name == prefix or name.startswith(f"{prefix}_"):
            return reason
    return "failed"


def _postgres_reason(state: str) -> Reason:
    matching = [prefix for prefix in _POSTGRES if state.startswith(prefix)]
    return _POSTGRES[max(matching, key=len)] if matching else "failed"
