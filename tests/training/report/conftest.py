"""The example evaluation as a page, made once for a file of tests."""

from __future__ import annotations

import pytest

from tests.training.report.pages import page


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the example, where nobody says who measured it."""
    return page(tmp_path_factory.mktemp("example"))
