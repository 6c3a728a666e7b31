"""The service's commands: serve, settings, keys, and what is deployed.

Every refusal is one sentence on standard error with status 1, never a traceback.
The heavy parts are imported when a command needs them, so that `--help` is quick.
"""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from probing.errors import ProbingError
from probing.policy import Action
from service.domain import KeyScope, Role
from service.settings import (
    CannotStart,
    Settings,
    load_settings,
    make_home,
    settings_page,
    shown,
)

if TYPE_CHECKING:
    from service.store.review import ReviewStore

DatabaseOption = Annotated[
    str | None,
    typer.Option("--database-url", help="sqlite:///PATH or postgresql://...; hidden in output."),
]
StoreOption = Annotated[
    Path | None, typer.Option("--probe-store", "--store", help="Directory of published probes.")
]
ByOption = Annotated[str | None, typer.Option("--by", help="Who does it; you, if not given.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the audit record.")]
RoleOption = Annotated[str, typer.Option("--role", help="champion decides; challenger records.")]


def serve(
    model: Annotated[
        str | None, typer.Option(help="magpie, a Hugging Face directory or a cached hub name.")
    ] = None,
    model_name: Annotated[str | None, typer.Option(help="Its name for clients.")] = None,
    host: Annotated[str | None, typer.Option(help="Address; beyond loopback keys are due.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    action: Annotated[Action | None, typer.Option(help="What a crossing leads to.")] = None,
    release_rule: Annotated[
        str | None, typer.Option(help="scored, or immediate: release before the score is in.")
    ] = None,
    probe_store: StoreOption = None,
    database_url: DatabaseOption = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
    streams_max: Annotated[int | None, typer.Option(help="Answers generated at once.")] = None,
) -> None:
    """Serve a model with its probes watching, over OpenAI's API.

    Every token is scored before it leaves. What crosses a probe's threshold is
    recorded, flagged or halted, as --action says; flags wait at /v1/monitor/cases.

    Whatever is not given here comes from PROBEWATCH_... variables, then from
    probewatch.toml, then from the defaults: `probewatch settings` shows them all.

    Try it:

        probewatch serve --action halt

        curl -s localhost:8700/v1/chat/completions -H 'content-type: application/json'
        -d '{"model": "magpie", "messages": [{"role": "user", "content": "Hello"}]}'
    """
    with told():
        _serve(
            load_settings(
                {
                    "model": model,
                    "model_name": model_name,
                    "host": host,
                    "port": port,
                    "action": action,
                    "release_rule": release_rule,
                    "probe_store": probe_store,
                    "database_url": database_url,
                    "device": device,
                    "dtype": dtype,
                    "streams_max": streams_max,
                }
            )
        )


def _serve(settings: Settings) -> None:
    from prometheus_client import disable_created_metrics

    from service.server import DrainingServer, address_of, listening_socket

    disable_created_metrics()  # type: ignore[no-untyped-call]
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    _require_keys(settings)
    with listening_socket(settings) as listener:
        from service.assembly import build

        parts = build(settings)
        try:
            parts.engine.start()
            card = parts.engine.card
            typer.echo(
                f"serving {card.model_name} under {', '.join(card.refs)} "
                f"({settings.action.value}, release {settings.release_rule}) "
                f"on {address_of(listener)}"
            )
            _tell_first_link(parts.store, settings.public_url or address_of(listener))
            DrainingServer(parts.app, settings).run(sockets=[listener])
        finally:
            parts.engine.close()
            parts.store.close()


def _tell_first_link(store: ReviewStore, address: str) -> None:
    """While nobody can log in, show the link with which the first person becomes admin."""
    from service.web.pages import PAGES

    token = store.invitations.first(by="probewatch serve")
    if token is not None:
        typer.echo(
            "nobody can log in to the review pages yet; to become the first admin, open within a "
            f"day, once: {address}{PAGES}/welcome/{token}"
        )


def _require_keys(settings: Settings) -> None:
    """Look for keys before the port opens: a refused service must never have listened."""
    from service.auth import keys_demanded, require_keys

    if keys_demanded(settings):
        with opened(settings) as store:
            require_keys(settings, store.keys)


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")] = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="Print docs/metrics.md.")] = False,
) -> None:
    """Show every setting with its value here and now; secrets are masked."""
    if markdown or metrics:
        from service.metrics import metrics_page

        typer.echo(settings_page() if markdown else metrics_page(), nl=False)
        return
    with told():
        table = Table("setting", "value")
        for name, value in shown(load_settings()):
            table.add_row(name, value)
        Console().print(table)


def create_key(
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    scope: Annotated[
        KeyScope,
        typer.Option(help="ask: chat and models; review: also everybody's requests and cases."),
    ] = KeyScope.ASK,
    database_url: DatabaseOption = None,
    by: ByOption = None,
) -> None:
    """Make an API key and show it; it is kept as a digest and never shown again."""
    with told(), _store(database_url) as store:
        typer.echo(store.keys.create(name, by=by or me(), scope=scope))


def list_keys(database_url: DatabaseOption = None) -> None:
    """List the names of all keys with their scopes and dates, never the keys."""
    with told(), _store(database_url) as store:
        table = Table("name", "scope", "made", "revoked")
        for key in store.keys.list():
            revoked = key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else ""
            made = key.created_at.isoformat(timespec="seconds")
            table.add_row(key.name, key.scope.value, made, revoked)
        Console().print(table)


def revoke_key(
    name: Annotated[str, typer.Argument(help="Name it was made with.")],
    database_url: DatabaseOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """End an API key; the next request with it is refused."""
    with told(), _store(database_url) as store:
        store.keys.revoke(name, by=by or me(), reason=reason)
        typer.echo(f"key {name} is revoked")


def promote(
    probe: Annotated[str, typer.Argument(help="NAME@VERSION, or NAME for its newest.")],
    role: RoleOption = "champion",
    reason: ReasonOption = "",
    by: ByOption = None,
    probe_store: StoreOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Put a verified probe version in a role; `probewatch serve` takes it up when it starts."""
    from probes_store.ref import Ref
    from probes_store.store import ProbeStore

    with told():
        chosen = load_settings({"probe_store": probe_store, "database_url": database_url})
        ref = ProbeStore(chosen.probe_store).load(Ref.parse(probe)).ref
        with _store(database_url) as store:
            before = store.deployments.deployed(_role(role))
            now = store.deployments.promote(_role(role), str(ref), by=by or me(), reason=reason)
        typer.echo(f"{now.role} is {now.ref} (before: {before or 'none'}); restart to serve it")


def rollback(
    role: RoleOption = "champion",
    reason: ReasonOption = "",
    by: ByOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Return a role to the version that stood there before."""
    with told(), _store(database_url) as store:
        now = store.deployments.rollback(_role(role), by=by or me(), reason=reason)
        typer.echo(f"{now.role} is {now.ref} again; restart `probewatch serve` to serve it")


def _role(text: str) -> Role:
    """The role as a type; the store refuses words that are none, naming those that are."""
    return text  # type: ignore[return-value]


@contextmanager
def _store(database_url: str | None) -> Iterator[ReviewStore]:
    with opened(load_settings({"database_url": database_url})) as store:
        yield store


@contextmanager
def opened(settings: Settings) -> Iterator[ReviewStore]:
    from service.store.opening import open_store

    make_home(settings)
    url = settings.database_url.get_secret_value()
    with open_store(url, timeout_seconds=settings.store_timeout_seconds) as store:
        yield store


@contextmanager
def told() -> Iterator[None]:
    """A refusal becomes one sentence and status 1."""
    from service.engines.protocol import EngineFailure
    from service.people.errors import PeopleRefused
    from service.store.errors import StoreError

    try:
        yield
    except (ProbingError, StoreError, EngineFailure, PeopleRefused, CannotStart) as error:
        typer.echo(f"probewatch: {error}", err=True)
        raise typer.Exit(1) from None


def me() -> str:
    """Who runs this, as the system knows them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
