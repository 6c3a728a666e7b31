"""The store's commands, as a person calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from probes_store.store import ProbeStore
from probewatch import app
from tests.probes_store.examples import draft


@pytest.fixture
def store(tmp_path: Path) -> ProbeStore:
    store = ProbeStore(tmp_path / "probes", shipped=None)
    store.set_alias("champion", store.publish(draft()))
    return store


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["probes", *arguments])
    return result.exit_code, result.output + str(result.exception or "")


def test_list_names_versions_and_aliases(store: ProbeStore) -> None:
    status, output = call("list", "--store", str(store.root))

    assert status == 0
    assert "petty@1" in output
    assert "champion" in output
    assert "begins as: the store's alias, which seeds an empty database" in output


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    """Where shipped probes exist they are listed; nothing is an error."""
    status, output = call("list", "--store", str(tmp_path / "none"))

    assert status == 0
    assert "probewatch train" in output or "@" in output


def test_show_prints_manifest_and_card(store: ProbeStore) -> None:
    status, output = call("show", "petty", "--store", str(store.root))

    assert status == 0
    assert "1.2500 from response token 4 on" in output
    assert "Petty" in output
    assert "license: x" not in output


def test_verify_ends_with_1_where_a_byte_was_changed(store: ProbeStore) -> None:
    assert call("verify", "petty@1", "--store", str(store.root))[0] == 0
    card = store.root / "petty" / "1" / "card.md"
    card.chmod(0o644)
    card.write_bytes(card.read_bytes().replace(b"Petty", b"Potty"))

    status, output = call("verify", "--store", str(store.root))

    assert status == 1
    assert "other bytes" in output


def test_a_wrong_name_is_one_sentence(store: ProbeStore) -> None:
    status, output = call("show", "../../etc", "--store", str(store.root))

    assert status == 1
    assert "does not name a probe" in output
