"""Real small models for every test: built in code, bundled, or from the asset folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from probing.model import BUNDLED_PATH, LoadedModel, load_model
from tests.models import BUILDERS
from tests.postgres import PostgresServer, start_postgres

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

pytest_plugins = ("pytester",)

ASSETS = os.environ.get("PROBEWATCH_TEST_ASSETS")
EXCUSES = (
    "PROBEWATCH_TEST_ASSETS is not set",
    "root may write",
    "a small disk can",
    "there is no CUDA device",
)
"""What begins the reason of a skip that no installation would cure."""


def _require(report: Report) -> Report:
    """With REQUIRE_ALL, which .ci/run sets, a test that was left out is a failure."""
    if not os.environ.get("REQUIRE_ALL") or not report.skipped or hasattr(report, "wasxfail"):
        return report
    *_, told = report.longrepr if isinstance(report.longrepr, tuple) else (report.longrepr,)
    reason = str(told).removeprefix("Skipped: ")
    if not reason.startswith(EXCUSES):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL is set, and this was skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip of one test, by a marker, a fixture or in its body."""
    return _require((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A skip of a whole file, as by `importorskip`."""
    return _require((yield))


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte and an end token: 257 in all."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: i for i, symbol in enumerate(alphabet)} | {"<|end|>": 256}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>"
    )


@pytest.fixture(scope="session")
def tiny(byte_tokenizer: PreTrainedTokenizerFast) -> Callable[[str], LoadedModel]:
    """`tiny("gpt2")`: a seeded model of that shape with random weights, built once."""
    built: dict[str, LoadedModel] = {}

    def get(name: str) -> LoadedModel:
        if name not in built:
            torch.manual_seed(7)
            built[name] = load_model(BUILDERS[name](), tokenizer=byte_tokenizer)
        return built[name]

    return get


@pytest.fixture(scope="session")
def magpie() -> LoadedModel:
    """The bundled model."""
    return load_model(BUNDLED_PATH)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real public models and texts; tests that need it skip where none is named."""
    if not ASSETS:
        pytest.skip("PROBEWATCH_TEST_ASSETS is not set: real public models are not at hand")
    if not (Path(ASSETS) / "models").is_dir():
        pytest.fail(f"PROBEWATCH_TEST_ASSETS is {ASSETS}, where no folder models lies")
    return Path(ASSETS)


@pytest.fixture(scope="session")
def real(assets: Path) -> Callable[[str], LoadedModel]:
    """`real("stories260k")`: a public model from the asset folder, loaded once."""
    return cache(lambda name: load_model(assets / "models" / name))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL from the embedded wheel, on a Unix socket, one per test process."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """A database of this test's own, as `PROBEWATCH_DATABASE_URL` would name it.

    It goes away with its server: dropping each one costs more than all else in most tests.
    """
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as administrator:
        administrator.execute(f'CREATE DATABASE "{name}"')
    return postgres_server.get_uri(name)
