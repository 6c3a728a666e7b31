"""One contract, two databases: what takes `store` or `database_url` runs on both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.service.store.desk import Clock

PATIENT_SECONDS = 30.0
HASTY_SECONDS = 0.5

Mount = Callable[[int], Path]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: a file, or one on a real PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'review.db'}"
    url = request.getfixturevalue("postgres_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[ReviewStore]:
    """An open store on each database."""
    with open_store(database_url, timeout_seconds=PATIENT_SECONDS) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def desk(store: ReviewStore, clock: Clock) -> ReviewStore:
    """The same, going by the test's clock."""
    return ReviewStore(store._database, now=clock)


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "review.db"


@pytest.fixture
def sqlite_store(sqlite_path: Path) -> Iterator[ReviewStore]:
    """An open store in a file."""
    with open_store(f"sqlite:///{sqlite_path}", timeout_seconds=PATIENT_SECONDS) as opened:
        yield opened


@pytest.fixture
def hasty_store(sqlite_path: Path) -> Iterator[ReviewStore]:
    """The same, for tests in which it waits in vain."""
    with open_store(f"sqlite:///{sqlite_path}", timeout_seconds=HASTY_SECONDS) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Mount]:
    """`small_disk(size_mb)`: a real file system of that size. Skips where one cannot be mounted."""
    mounted: list[Path] = []

    def mount(size_mb: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(place)]
        if os.geteuid() != 0 or not sys.platform.startswith("linux"):
            pytest.skip("a small disk can only be mounted by root on Linux")
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
