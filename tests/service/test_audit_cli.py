"""The commands of the audit: what they print, and with which status they end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from service import audit_cli
from service.store import verify
from service.store.anchors import read_anchors
from service.store.chain import GENESIS
from service.store.opening import open_store
from service.store.review import ReviewStore

app = typer.Typer()
app.command("list")(audit_cli.list_entries)
app.command("verify")(audit_cli.verify)
app.command("anchor")(audit_cli.anchor)


@pytest.fixture(autouse=True)
def _own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROBEWATCH_DATABASE_URL", f"sqlite:///{tmp_path}/review.db")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[ReviewStore]:
    """Three entries: two keys made, one revoked."""
    with open_store(f"sqlite:///{tmp_path}/review.db") as store:
        store.keys.create("ada", by="op")
        store.keys.create("bob", by="op")
        store.keys.revoke("ada", by="eve", reason="lost [red]laptop\x1b[2J\ud800")
        yield store


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == status, result.output
    return result.output


def tamper(tmp_path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(tmp_path / "review.db", isolation_level=None)) as connection:
        for statement in ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"):
            connection.execute(statement)
        for statement in statements:
            connection.execute(statement)


def test_the_newest_entries_are_listed_first(chain: ReviewStore) -> None:
    output = run("list")

    entries = [line.split("│")[1].strip() for line in output.splitlines() if "key." in line]
    assert entries == ["3", "2", "1"]
    assert "eve" in output


def test_no_more_entries_are_listed_than_were_asked_for(chain: ReviewStore) -> None:
    assert "key.create" not in run("list", "--limit", "1")


def test_what_an_entry_says_is_not_obeyed_by_the_terminal(chain: ReviewStore) -> None:
    """A reason is anybody's text: it must not clear the screen over other entries."""
    output = run("list")

    assert "lost [red]laptop\\x1b[2J\\xd800" in output
    assert "\x1b[2J" not in output


def test_a_whole_chain_is_status_0_with_its_head(chain: ReviewStore) -> None:
    output = run("verify")

    assert output == (
        f"3 entries, whole, head {chain.audit.head().hash}, "
        "not compared with anchors: --anchors FILE would show whether it was made anew\n"
    )


def test_an_empty_chain_is_whole(tmp_path: Path) -> None:
    assert run("verify").startswith(f"0 entries, whole, head {GENESIS}")


def test_a_whole_chain_is_told_with_its_newest_anchor(chain: ReviewStore, tmp_path: Path) -> None:
    run("anchor", "--file", "anchors.jsonl")
    chain.keys.create("dan", by="op")

    output = run("verify", "--anchors", "anchors.jsonl")

    at = read_anchors(tmp_path / "anchors.jsonl").anchors[0].at.isoformat(" ", "seconds")
    assert output.endswith(f"anchored {at} at entry 3 (1 since, 1 anchors)\n")


def test_the_file_of_the_settings_is_used_where_none_is_named(
    chain: ReviewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBEWATCH_AUDIT_ANCHOR_FILE", str(tmp_path / "anchors.jsonl"))
    run("anchor")
    set_back = "UPDATE audit_head SET length = 2, hash = (SELECT hash FROM audit WHERE id = 2)"
    tamper(tmp_path, "DELETE FROM audit WHERE id = 3", set_back)

    assert run("verify", status=1).startswith("truncated: entry 3 is missing at the end")


def test_every_finding_is_one_line_and_the_status_1(chain: ReviewStore, tmp_path: Path) -> None:
    tamper(
        tmp_path,
        "UPDATE audit SET actor = 'nobody' WHERE id = 1",
        "DELETE FROM audit WHERE id = 3",
    )

    edited, truncated, advice = run("verify", status=1).splitlines()

    assert edited == "edited: entry 1 does not say what it was added with"
    assert truncated.startswith("truncated: entry 3 is missing at the end: the head counts 3")
    assert advice.startswith("probewatch: expected a whole chain")
    assert "compare it with a backup" in advice


def test_findings_beyond_a_hundred_are_counted(
    chain: ReviewStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_cli, "_FINDINGS_SHOWN_MAX", 1)
    tamper(
        tmp_path,
        "UPDATE audit SET actor = 'nobody' WHERE id = 1",
        "DELETE FROM audit WHERE id = 3",
    )

    assert "and 1 more findings" in run("verify", status=1)


def test_lines_that_are_no_anchors_are_told(chain: ReviewStore, tmp_path: Path) -> None:
    run("anchor", "--file", "anchors.jsonl")
    with (tmp_path / "anchors.jsonl").open("a") as file:
        file.write("torn\n" * 5)

    output = run("verify", "--anchors", "anchors.jsonl")

    assert "line 2 of anchors.jsonl is no anchor and is left out" in output
    assert "2 more such lines" in output


def test_progress_is_told(chain: ReviewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_TOLD_EVERY_LINES", 2)

    assert "2 of 3 entries" in run("verify")


def test_one_place_that_fails_is_status_1_and_keeps_no_other_from_it(
    chain: ReviewStore, tmp_path: Path
) -> None:
    output = run("anchor", "--file", "anchors.jsonl", "--syslog", "/nowhere/log", status=1)

    assert f"3 entries, head {chain.audit.head().hash}, anchored to the file" in output
    assert "not anchored to the syslog: /nowhere/log takes no messages" in output
    assert len(read_anchors(tmp_path / "anchors.jsonl").anchors) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["anchor"], "give --file, --syslog or --webhook"),
        (["anchor", "--syslog", "loghost"], "PROBEWATCH_AUDIT_ANCHOR_SYSLOG"),
        (["anchor", "--webhook", "ftp://secret-token/"], "PROBEWATCH_AUDIT_ANCHOR_WEBHOOK"),
        (["verify", "--anchors", "missing.jsonl"], "No such file"),
        (["verify", "--database-url", "sqlite:////proc/none/x.db"], "review store"),
        (["list", "--database-url", "mysql://h/d"], "mysql"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(words: list[str], told: str) -> None:
    output = run(*words, status=1)

    assert told in output
    assert output.startswith("probewatch: ")
    assert output.count("\n") == 1
    assert "secret-token" not in output


@pytest.mark.parametrize(
    ("command", "taught"),
    [
        ("list", "newest first"),
        ("verify", "--anchors"),
        ("anchor", "PROBEWATCH"),
    ],
)
def test_help_teaches(command: str, taught: str) -> None:
    assert taught.lower() in run(command, "--help").lower()
