"""The migrations and the code agree about the tables."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from service.domain import KeyScope
from service.store import migrate as module
from service.store.errors import StoreMisconfigured, StoreUnavailable
from service.store.opening import open_store
from service.store.review import ReviewStore
from service.store.tables import metadata
from tests.service.store.examples import FLAG


@pytest.fixture
def connection(store: ReviewStore) -> Iterator[Connection]:
    with store._database.writing() as opened:
        yield opened


def checks(connection: Connection) -> dict[str, list[tuple[str | None, str]]]:
    inspector = inspect(connection)
    return {
        table: sorted(
            (check["name"], check["sqltext"]) for check in inspector.get_check_constraints(table)
        )
        for table in metadata.tables
    }


def test_the_migrations_make_the_tables_that_the_code_expects(connection: Connection) -> None:
    """What `alembic check` asks: is there anything left to migrate?"""
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )

    assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_checks_that_the_code_expects(connection: Connection) -> None:
    """Alembic does not compare CHECK constraints by itself."""
    migrated = checks(connection)
    for table in ("audit", "verdicts", "skips", "cases"):
        connection.execute(text(f"DROP TABLE {table}"))
    metadata.drop_all(connection)
    metadata.create_all(connection)

    assert checks(connection) == migrated


def test_one_valid_key_per_name_is_the_databases_own_rule(connection: Connection) -> None:
    """Alembic does not compare the condition of a partial index."""
    insert = text(
        "INSERT INTO api_keys (id, name, digest, created_at, revoked_at) "
        "VALUES (:id, 'ada', :digest, '2026-01-01', :revoked)"
    )
    for number, revoked in (("1", "2026-01-02"), ("2", "2026-01-02"), ("3", None)):
        connection.execute(insert, {"id": number, "digest": b"", "revoked": revoked})

    with pytest.raises(Exception, match=r"(?i)unique"):
        connection.execute(insert, {"id": "4", "digest": b"", "revoked": None})


def test_every_constraint_has_a_name(connection: Connection) -> None:
    """A later migration on SQLite can only change what it can name."""
    inspector = inspect(connection)
    for table in metadata.tables:
        names = [found["name"] for found in inspector.get_foreign_keys(table)]
        names += [found["name"] for found in inspector.get_unique_constraints(table)]
        names += [found["name"] for found in inspector.get_check_constraints(table)]
        assert all(names), table


def test_opening_again_migrates_nothing_and_loses_nothing(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(database_url) as store:
        case = store.commit_flag(FLAG)

    with caplog.at_level(logging.INFO, "alembic"), open_store(database_url) as store:
        assert store.case(case.id) == case
    assert "Running upgrade" not in caplog.text


def test_no_ini_file_of_the_current_directory_is_read(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = nowhere\n")
    monkeypatch.chdir(tmp_path)

    open_store(database_url).close()

    assert not (Path(os.getcwd()) / "nowhere").exists()


def test_gateways_that_open_an_empty_database_at_once_agree(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(database_url, timeout_seconds=20), range(4)))

    revisions: list[str] = []
    for store in stores:
        store.check()
        with store._database.reading() as connection:
            revisions += connection.scalars(text("SELECT version_num FROM alembic_version"))
        store.close()
    assert len(revisions) == 4
    assert len(set(revisions)) == 1


def test_keys_of_the_version_before_ask_and_do_not_review(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were given out for chatting, and nobody decided that they may read."""
    first = tmp_path / "versions" / "r0001_initial.py"
    first.parent.mkdir()
    shutil.copy(module._MIGRATIONS / "versions" / first.name, first)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MIGRATIONS", tmp_path)
        with open_store(database_url) as store, store._database.writing() as connection:
            connection.execute(
                text(
                    "INSERT INTO api_keys (id, name, digest, created_at) "
                    "VALUES ('1', 'ada', :digest, '2026-01-01 00:00:00')"
                ),
                {"digest": b""},
            )

    with open_store(database_url) as store:
        assert [(key.name, key.scope) for key in store.keys.list()] == [("ada", KeyScope.ASK)]


def test_tables_of_a_later_version_are_refused(database_url: str) -> None:
    """An older gateway that writes to newer tables could break their rules."""
    with open_store(database_url) as store, store._database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreMisconfigured, match=r"9999.*run the version that made them"):
        open_store(database_url)


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "r1.py").write_text(
        "from alembic import op\nrevision, down_revision = '1', None\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE half (id INTEGER)')\n"
        "    op.execute('SELECT * FROM not_there')\n"
    )
    with monkeypatch.context() as patch:
        patch.setattr(module, "_MIGRATIONS", tmp_path)
        with pytest.raises(StoreUnavailable):
            open_store(database_url)

    with open_store(database_url) as store, store._database.reading() as connection:
        assert "half" not in inspect(connection).get_table_names()
