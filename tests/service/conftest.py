"""Real stores for the service's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.opening import open_store
from service.store.review import ReviewStore


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with all its tables, made once because that takes a while."""
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(tmp_path: Path, migrated: Path) -> Iterator[ReviewStore]:
    """A real SQLite store that waits half a second for a lock."""
    path = tmp_path / "review.db"
    shutil.copy(migrated, path)
    with open_store(f"sqlite:///{path}", timeout_seconds=0.5) as opened:
        yield opened
