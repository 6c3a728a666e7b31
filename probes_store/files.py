"""Read and write an artifact's files without trusting what lies on the disk."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from probes_store.manifest import FileRecord

FILE_BYTES_MAX = 256 * 1024 * 1024
"""Nothing in an artifact is larger; a larger file is not read into memory."""


class Irregular(Exception):
    """A path is not an ordinary file or directory; says what it is."""


def require_directory(path: Path) -> None:
    """Refuse a directory that is a link: it could lead out of the store.

    Raises:
        Irregular: a link, or no directory.
        FileNotFoundError: there is nothing.
    """
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise Irregular(f"{path.name} is a link or no directory")


def read_regular(path: Path) -> bytes:
    """The bytes of an ordinary file; a link, pipe or device is refused without reading it.

    Raises:
        Irregular: no ordinary file, or larger than `FILE_BYTES_MAX`.
        FileNotFoundError: there is nothing.
    """
    if path.is_symlink():
        raise Irregular(f"{path.name} is a link")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Irregular(f"{path.name} is no ordinary file")
        if status.st_size > FILE_BYTES_MAX:
            raise Irregular(f"{path.name} has {status.st_size} bytes, more than {FILE_BYTES_MAX}")
        return file.read(FILE_BYTES_MAX + 1)


def write_durably(path: Path, data: bytes, *, mode: int = 0o444) -> None:
    """Write a new file and wait until it is on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def record_of(data: bytes) -> FileRecord:
    """What a manifest says of these bytes."""
    return FileRecord(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
