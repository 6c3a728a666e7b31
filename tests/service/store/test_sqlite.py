"""What SQLite promises, held against real faults: locks, full disks, kills, lost files."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text

from service.domain import CaseState
from service.store.errors import StoreUnavailable
from service.store.opening import open_store
from service.store.review import ReviewStore
from tests.service.store.conftest import PATIENT_SECONDS, Mount
from tests.service.store.examples import FLAG, SECRET_TEXT, flag

HOLD_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(60)
"""
HOLD_TURN = """
import fcntl, sys, time
turn = open(sys.argv[1] + "-writer", "r+")
fcntl.flock(turn, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""
COMMIT_AND_WAIT = """
import sys, time
from service.store.opening import open_store
from tests.service.store.examples import flag
store = open_store(sys.argv[1])
for number in range(20):
    print(store.commit_flag(flag(number)).id, flush=True)
time.sleep(60)
"""
COMMIT_MANY = """
import sys
from service.store.opening import open_store
from tests.service.store.examples import flag
with open_store(sys.argv[1], timeout_seconds=60) as store:
    for number in range(100, 140):
        store.commit_flag(flag(number))
        print("writing", flush=True)
"""


@contextmanager
def another_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def pragma(store: ReviewStore, name: str) -> object:
    with store._database.writing() as connection:
        return connection.scalar(text(f"PRAGMA {name}"))


def assert_says_nothing_secret(error: StoreUnavailable) -> None:
    """Neither the sentence nor the traceback that a log would hold."""
    printed = "".join(traceback.format_exception(error))
    assert SECRET_TEXT not in printed
    assert "sqlalchemy" not in printed.lower()
    assert "sqlite3." not in printed


@pytest.mark.parametrize(
    ("name", "value"),
    [("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1), ("fullfsync", 1)],
)
def test_the_live_writer_is_durable(sqlite_store: ReviewStore, name: str, value: object) -> None:
    """With synchronous=NORMAL, 185 of 200 simulated power cuts lost acknowledged rows."""
    assert pragma(sqlite_store, name) == value


def test_the_writer_is_durable_after_it_was_opened_anew(sqlite_store: ReviewStore) -> None:
    sqlite_store._database._writer.dispose()

    assert pragma(sqlite_store, "synchronous") == 2


def test_there_is_one_writing_connection(sqlite_store: ReviewStore) -> None:
    """Two of them can corrupt the log in SQLite 3.7.0 to 3.51.2."""
    used: list[object] = []
    event.listen(sqlite_store._database._writer, "checkout", lambda c, *_: used.append(c))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: sqlite_store.commit_flag(flag(n)), range(24)))

    assert len(used) == 24
    assert len({id(connection) for connection in used}) == 1


def test_a_reader_cannot_write(sqlite_store: ReviewStore) -> None:
    with (
        pytest.raises(StoreUnavailable, match="read-only"),
        sqlite_store._database.reading() as connection,
    ):
        connection.execute(text("DELETE FROM pulse"))


def test_a_reader_does_not_wait_for_the_writer(sqlite_store: ReviewStore) -> None:
    with sqlite_store._database.writing():
        assert sqlite_store.counts()[CaseState.OPEN] == 0


def test_only_its_owner_may_read_the_file(sqlite_store: ReviewStore, sqlite_path: Path) -> None:
    """It holds what people asked the model."""
    sqlite_store.commit_flag(FLAG)

    beside = list(sqlite_path.parent.glob("review.db*"))
    assert len(beside) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}


@pytest.mark.parametrize("hold", [HOLD_LOCK, HOLD_TURN], ids=["sqlite's lock", "our turn"])
def test_a_lock_of_another_process_is_told_in_time(
    hasty_store: ReviewStore, sqlite_path: Path, hold: str
) -> None:
    with another_process(hold, str(sqlite_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()

        with pytest.raises(StoreUnavailable, match="locked by another process") as caught:
            hasty_store.commit_flag(FLAG)

        assert time.monotonic() - started < 10
        assert caught.value.reason == "locked"
        assert_says_nothing_secret(caught.value)
        assert hasty_store.counts()[CaseState.OPEN] == 0

    assert hasty_store.commit_flag(FLAG).flag == FLAG


def test_processes_that_write_at_once_lose_nothing(
    sqlite_store: ReviewStore, sqlite_path: Path
) -> None:
    """The command line promotes and makes keys beside a running service."""
    with another_process(COMMIT_MANY, f"sqlite:///{sqlite_path}") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"
        for number in range(40):
            sqlite_store.commit_flag(flag(number))
        assert other.wait(60) == 0

    assert sqlite_store.counts()[CaseState.OPEN] == 80


def test_a_row_survives_a_kill_right_after_its_commit(sqlite_path: Path) -> None:
    with another_process(COMMIT_AND_WAIT, f"sqlite:///{sqlite_path}") as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(7)]
        process.send_signal(signal.SIGKILL)

    with open_store(f"sqlite:///{sqlite_path}") as store:
        kept = {case.id for case in store.cases().cases}
    assert kept >= set(acknowledged)


def test_a_full_disk_is_told_and_loses_nothing(small_disk: Mount) -> None:
    disk = small_disk(2)
    with open_store(f"sqlite:///{disk / 'review.db'}", timeout_seconds=PATIENT_SECONDS) as store:
        acknowledged: list[int] = []
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_200_000))

        with pytest.raises(StoreUnavailable, match="disk is full") as caught:
            fill(store, acknowledged)

        assert caught.value.reason == "full"
        assert_says_nothing_secret(caught.value)
        assert store.counts()[CaseState.OPEN] == len(acknowledged)
        ballast.unlink()
        fill(store, acknowledged, first=1000, number=5)
        assert store.counts()[CaseState.OPEN] == len(acknowledged)
        assert pragma(store, "integrity_check") == "ok"


def test_a_database_at_its_size_limit_is_told_as_full(sqlite_store: ReviewStore) -> None:
    """The same answer of SQLite's as a full disk's, on machines where none can be mounted."""
    pragma(sqlite_store, f"max_page_count={pragma(sqlite_store, 'page_count')}")

    with pytest.raises(StoreUnavailable, match="disk is full") as caught:
        fill(sqlite_store, [])
    assert_says_nothing_secret(caught.value)


def fill(
    store: ReviewStore, acknowledged: list[int], *, first: int = 0, number: int = 1000
) -> None:
    """Commit flags with long answers, noting each one that was acknowledged."""
    acknowledged.extend(
        store.commit_flag(flag(n, answer_so_far="x" * 20_000)).id
        for n in range(first, first + number)
    )


def test_a_read_only_file_system_is_told(small_disk: Mount) -> None:
    disk = small_disk(2)
    address = f"sqlite:///{disk / 'review.db'}"
    open_store(address).close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    with pytest.raises(StoreUnavailable, match="right to write") as caught:
        open_store(address)
    assert caught.value.reason == "read_only"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
def test_a_read_only_file_is_told(sqlite_path: Path) -> None:
    open_store(f"sqlite:///{sqlite_path}").close()
    sqlite_path.chmod(0o400)

    with pytest.raises(StoreUnavailable, match="right to write"):
        open_store(f"sqlite:///{sqlite_path}")


@pytest.mark.parametrize(
    "damage", [b"not a database " * 400, b"SQLite format 3\0" + b"\xff" * 6000]
)
def test_a_damaged_file_is_told_and_left_alone(sqlite_path: Path, damage: bytes) -> None:
    sqlite_path.write_bytes(damage)

    with pytest.raises(StoreUnavailable, match="restore the database from a backup") as caught:
        open_store(f"sqlite:///{sqlite_path}")

    assert caught.value.reason == "corrupt"
    assert sqlite_path.read_bytes() == damage


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_file_that_is_gone_is_told(
    sqlite_store: ReviewStore, sqlite_path: Path, how: str
) -> None:
    """SQLite itself goes on writing to a deleted file, and every flag is lost without an error."""
    elsewhere = sqlite_path.with_name("elsewhere.db")
    sqlite_path.rename(elsewhere) if how != "deleted" else sqlite_path.unlink()
    if how == "replaced":
        sqlite_path.write_bytes(elsewhere.read_bytes())

    with pytest.raises(StoreUnavailable, match="moved or deleted") as caught:
        sqlite_store.commit_flag(FLAG)
    assert caught.value.reason == "moved"


def test_threads_that_wait_too_long_are_told(hasty_store: ReviewStore) -> None:
    with (
        hasty_store._database.writing(),
        pytest.raises(StoreUnavailable, match="other threads are writing"),
    ):
        hasty_store.commit_flag(FLAG)


def test_a_case_without_its_flag_cannot_be(sqlite_store: ReviewStore) -> None:
    orphan = text(
        "INSERT INTO cases (request_id, state, created_at) VALUES ('no', 'open', '2026-01-01')"
    )
    with pytest.raises(StoreUnavailable), sqlite_store._database.writing() as connection:
        connection.execute(orphan)


def test_another_tool_reads_the_text_in_sql(sqlite_store: ReviewStore, sqlite_path: Path) -> None:
    sqlite_store.commit_flag(FLAG)

    with sqlite3.connect(sqlite_path) as shell:
        found = shell.execute("SELECT id FROM flags WHERE answer LIKE '%not take%'").fetchall()
    shell.close()

    assert found == [("flag-1",)]
