"""Real small models for every test: built in code, bundled, or from the asset folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from probing.model import BUNDLED_PATH, LoadedModel, load_model
from tests.models import BUILDERS
from tests.postgres import PostgresServer, start_postgres

ASSETS = os.environ.get("PROBEWATCH_TEST_ASSETS")


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
    """The folder of real public models and texts; tests that need it skip where it is absent."""
    if not ASSETS:
        pytest.skip("PROBEWATCH_TEST_ASSETS is not set: real public models are not at hand")
    return Path(ASSETS)


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
