"""The commands about people, and the link that a service prints while there is nobody."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from service import cli, people_cli
from service.people.roles import PersonRole
from service.settings import Settings
from service.store.review import ReviewStore
from tests.service.store.house import KEPT, LIMITS, joined, logged_in

app = typer.Typer()
for command in (
    people_cli.invite, people_cli.list_people, people_cli.set_role, people_cli.reset_password,
    people_cli.disable, people_cli.revoke_sessions,
):  # fmt: skip
    app.command(command.__name__.replace("_", "-"))(command)


@pytest.fixture(autouse=True)
def _own_database(store: ReviewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands open the very database that the test has open."""
    address = store._database.address
    monkeypatch.setenv("PROBEWATCH_DATABASE_URL", address)


def run(*words: str, status: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    assert result.exit_code == status, result.output
    return result.output


def token_in(output: str) -> str:
    return output.strip().rpartition("/")[2]


def test_an_invitation_is_a_link_that_works(store: ReviewStore) -> None:
    output = run("invite", "anna", "--role", "auditor", "--by", "op", "--reason", "she is new")

    assert re.fullmatch(r"http://127\.0\.0\.1:8700/review/welcome/[\w-]{43}\n", output)
    person = store.invitations.accept(token_in(output), name="", display_name="Anna", password=KEPT)
    assert (person.name, person.role) == ("anna", PersonRole.AUDITOR)
    line = store.audit.latest()[1]
    assert (line.actor, line.action, line.reason) == ("op", "person.invite_join", "she is new")


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"PROBEWATCH_PUBLIC_URL": "https://watch.example"}, "https://watch.example/review/"),
        ({"PROBEWATCH_HOST": "0.0.0.0", "PROBEWATCH_PORT": "9"}, "http://localhost:9/review/"),
        ({"PROBEWATCH_HOST": "::1"}, "http://[::1]:8700/review/"),
    ],
)
def test_a_link_leads_to_where_people_reach_the_pages(
    settings: dict[str, str], begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert run("invite", "anna", "--role", "lead").startswith(begins)


def test_a_list_shows_everybody_and_no_secret(store: ReviewStore) -> None:
    joined(store, "anna", "lead")
    joined(store, "bert")
    store.people.disable("bert", by="op")

    output = run("list-people")

    rows = [re.split(r"\s*[│┃]\s*", line) for line in output.splitlines()]
    shown = {row[1]: (row[3], bool(row[5])) for row in rows if len(row) > 5}
    assert shown["anna"] == ("lead", False)
    assert shown["bert"] == ("auditor", True)
    assert "argon2" not in output


def test_a_display_name_cannot_command_the_terminal(store: ReviewStore) -> None:
    link = store.invitations.join("anna", PersonRole.LEAD, by="op")
    store.invitations.accept(
        link, name="", display_name="\x1b[2J[bold red]Anna\u202e", password=KEPT
    )

    output = run("list-people")

    assert "\x1b[2J" not in output
    assert "\u202e" not in output
    assert "[bold red]Anna" in output


def test_a_role_changes_and_logs_out(store: ReviewStore) -> None:
    joined(store)
    session = logged_in(store)

    assert "anna is lead from now on" in run("set-role", "anna", "--role", "lead")

    assert store.people.list()[0].role is PersonRole.LEAD
    assert store.sessions.holder(session, LIMITS) is None


def test_a_new_password_is_set_by_a_link(store: ReviewStore) -> None:
    joined(store)

    token = token_in(run("reset-password", "anna"))

    store.invitations.accept(token, name="", display_name="", password="new")
    assert store.people.password_of("anna") == "new"


def test_somebody_is_logged_out_or_let_in_no_longer(store: ReviewStore) -> None:
    joined(store)
    logged_in(store)

    assert "logged out of 1 session\n" in run("revoke-sessions", "anna")
    assert "anna can log in no longer" in run("disable", "anna", "--reason", "left")

    assert store.people.password_of("anna") is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["invite", "Anna Lind", "--role", "lead"], "letters a to z"),
        (["invite", "the-first", "--role", "lead"], "there is a person 'the-first'"),
        (["disable", "nobody"], "nobody called 'nobody'"),
        (["set-role", "nobody", "--role", "lead"], "probewatch people list"),
        (["reset-password", "nobody"], "probewatch people list"),
        (["revoke-sessions", "nobody"], "probewatch people list"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(
    store: ReviewStore, words: list[str], told: str
) -> None:
    joined(store, "the-first")

    output = run(*words, status=1)

    assert told in output
    assert output.startswith("probewatch: ")
    assert output.count("\n") == 1


def test_a_role_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert "read-only" in run("invite", "anna", "--role", "king", status=2)


def test_a_service_prints_the_first_link_while_there_is_nobody(
    store: ReviewStore, capsys: pytest.CaptureFixture[str]
) -> None:
    cli._tell_first_link(store, "http://127.0.0.1:8700")
    first = capsys.readouterr().out
    store.invitations.accept(token_in(first), name="root", display_name="Root", password=KEPT)
    cli._tell_first_link(store, "http://127.0.0.1:8700")

    assert "first admin" in first
    assert re.search(r"http://127\.0\.0\.1:8700/review/welcome/[\w-]{43}\n", first)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "url",
    ["watch.example", "https://", "https://h/path", "https://u:p@h", "ftp://h", "https://h?x"],
)
def test_a_public_address_is_an_origin_and_nothing_more(url: str) -> None:
    with pytest.raises(ValueError, match="https://HOST"):
        Settings(public_url=url)
