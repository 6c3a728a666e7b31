"""A real Chromium, and a service with people and cases for it to look at."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.store.opening import open_store
from tests.service.scripted import ScriptedEngine
from tests.service.serving import Served, serving
from tests.service.web.elsewhere import Elsewhere

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium through Playwright."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright for Python is not installed"
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Served]:
    """A service that a file of tests shares, on a real store."""
    path = tmp_path_factory.mktemp("house") / "review.db"
    shutil.copy(migrated, path)
    with (
        open_store(f"sqlite:///{path}", timeout_seconds=20) as store,
        serving(ScriptedEngine(), store) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """A site that foreign text would like a browser to ask."""
    site = Elsewhere()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join(timeout=10)
