"""The service's commands, and the service as one command starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
import typer
from typer.testing import CliRunner

from probing.model import LoadedModel
from service import cli
from service.store.opening import open_store
from tests.service.publishing import publish
from tests.service.serving import MESSAGE

app = typer.Typer()
for command in (
    cli.serve, cli.settings, cli.create_key, cli.list_keys, cli.revoke_key, cli.promote,
    cli.rollback,
):  # fmt: skip
    app.command(command.__name__.replace("_", "-"))(command)

PROGRAM = "from tests.service.test_cli import app; app()"


@pytest.fixture(autouse=True)
def _own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBEWATCH_DATABASE_URL", f"sqlite:///{tmp_path}/review.db")
    monkeypatch.setenv("PROBEWATCH_PROBE_STORE", str(tmp_path / "probes"))


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == status, result.output
    return result.output


def test_a_key_is_shown_once_and_then_only_by_name() -> None:
    key = run("create-key", "dashboard").strip()

    listed = run("list-keys")

    assert key.startswith("pw-")
    assert "dashboard" in listed
    assert key not in listed


def test_a_key_has_the_scope_that_it_was_made_with() -> None:
    run("create-key", "client")
    run("create-key", "auditor", "--scope", "review")

    rows = [line.split() for line in run("list-keys").splitlines()]

    scopes = {row[1]: row[3] for row in rows if len(row) > 3 and row[1] in ("client", "auditor")}
    assert scopes == {"client": "ask", "auditor": "review"}


def test_a_service_without_keys_never_listens() -> None:
    """Here the port is taken: who tried to bind it first would say so."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        output = run("serve", "--host", "0.0.0.0", "--port", port, status=1)

    assert "probewatch keys create" in output


def test_a_revoked_key_stays_in_the_list() -> None:
    run("create-key", "dashboard")

    run("revoke-key", "dashboard", "--reason", "lost")

    assert "probewatch: no valid key" in run("revoke-key", "dashboard", status=1)


def test_settings_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBEWATCH_DATABASE_URL", "postgresql://u:hunter2@db/p")

    assert "hunter2" not in run("settings")


def test_promotion_is_checked_recorded_and_undone(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    for seed in (1, 2):
        publish(tmp_path / "probes", tiny("gpt2"), seed=seed)

    assert "champion is petty@1 (before: none)" in run("promote", "petty@1")
    assert "champion is petty@2 (before: petty@1)" in run("promote", "petty", "--by", "anna")
    assert "champion is petty@1 again" in run("rollback", "--reason", "too many alarms")
    with open_store(f"sqlite:///{tmp_path}/review.db") as store:
        assert store.deployments.deployed("champion") == "petty@1"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["promote", "petty@7"], "no probe petty@7"),
        (["promote", "../../etc"], "does not name a probe"),
        (["rollback"], "cannot roll back"),
        (["rollback", "--role", "king"], "'champion' or 'challenger'"),
        (["serve", "--port", "70000"], "PROBEWATCH_PORT"),
        (["serve", "--host", "0.0.0.0", "--port", "0"], "probewatch keys create"),
        (["list-keys", "--database-url", "sqlite:////proc/none/x.db"], "review store"),
        (["list-keys", "--database-url", "mysql://h/d"], "mysql"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(words: list[str], told: str) -> None:
    output = run(*words, status=1)

    assert told in output
    assert output.startswith("probewatch: ")
    assert output.count("\n") == 1


def test_a_missing_model_is_one_sentence(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    publish(tmp_path / "probes", tiny("gpt2"))
    run("promote", "petty")

    output = run("serve", "--port", "0", "--model", str(tmp_path / "nothing"), status=1)

    assert output.startswith("probewatch: cannot load model")


def test_one_command_serves_a_watched_model_until_sigterm(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    loaded = tiny("gpt2")
    loaded.model.save_pretrained(tmp_path / "tiny")
    loaded.tokenizer.save_pretrained(tmp_path / "tiny")
    publish(tmp_path / "probes", loaded, threshold=-1e9)
    run("promote", "petty")
    words = ["serve", "--port", "0", "--model", str(tmp_path / "tiny"), "--action", "halt"]
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        client = openai.OpenAI(base_url=f"{line.split()[-1]}/v1", api_key="none")
        answer = client.chat.completions.create(model="tiny", messages=[MESSAGE], seed=1)
        running.send_signal(signal.SIGTERM)
        status = running.wait(timeout=60)
    finally:
        running.kill()

    assert line.startswith("serving tiny under petty@1 (halt, release scored) on http://127.0.0.1:")
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].probewatch["released"] == 3
    assert status == 0
    with open_store(f"sqlite:///{tmp_path}/review.db") as store:
        assert store.cases().cases[0].request_id == answer.id
