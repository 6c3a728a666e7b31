"""An address is either a durable store or a sentence that says why not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from service.store.errors import StoreMisconfigured, StoreUnavailable
from service.store.opening import open_store


@pytest.mark.parametrize(
    "address",
    [
        "",
        "review.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///review.db?mode=memory",
        "mysql://user:geheim@host/database",
        "postgresql+asyncpg://user:geheim@host/database",
        "postgresql://user:geheim@host:port/database",
    ],
)
def test_what_cannot_last_or_is_not_known_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreMisconfigured, match="expected sqlite:///relative") as caught:
        open_store(address)
    assert "geheim" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///review.db") as store:
        monkeypatch.chdir("/")
        store.check()

    assert (tmp_path / "review.db").exists()


def test_a_path_with_odd_characters_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a b%20c#d.db"
    with open_store(f"sqlite:///{quote(str(path))}") as store:
        store.check()

    assert path.stat().st_size > 0


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"no directory .*absent"):
        open_store(f"sqlite:///{tmp_path / 'absent' / 'review.db'}")


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{tmp_path}")
