"""A store of its own for each test, empty or with one version."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes_store.store import ProbeStore
from tests.probes_store.examples import draft


@pytest.fixture
def store(tmp_path: Path) -> ProbeStore:
    return ProbeStore(tmp_path / "probes", shipped=None)


@pytest.fixture
def published(store: ProbeStore) -> Path:
    """The folder of a published artifact, whose files may be written."""
    store.publish(draft())
    folder = store.root / "petty" / "1"
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder
