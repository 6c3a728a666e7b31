"""`probewatch people ...`: who can log in to the review pages, and as what.

Whoever can run these commands can read and write the database, so they ask for no password.
What they do is on record under the name of whoever ran them.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.cli import ByOption, DatabaseOption, ReasonOption, me, opened, told
from service.people.roles import PersonRole
from service.settings import Settings, load_settings

NameArgument = Annotated[str, typer.Argument(help="The name that they log in with.")]
RoleOption = Annotated[
    PersonRole,
    typer.Option(
        "--role",
        help="auditor rules on cases; lead also settles and sets queues; operator promotes "
        "probes and reads no text; read-only sees figures; admin does everything.",
    ),
]


def invite(
    name: NameArgument,
    role: RoleOption,
    database_url: DatabaseOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Make a link with which somebody new sets their password; show it once.

    The link is good for a day and once. Send it by a way that only they can read; whoever
    opens it first is that person. A newer link for the same name replaces it.

        probewatch people invite anna --role auditor
    """
    with told():
        settings = load_settings({"database_url": database_url})
        with opened(settings) as store:
            token = store.invitations.join(name, role, by=by or me(), reason=reason)
        typer.echo(_link(settings, token))


def reset_password(
    name: NameArgument,
    database_url: DatabaseOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Make a link with which somebody sets a new password; show it once.

    The old password is good until the link is used; then all their sessions end. It also
    helps somebody who has to wait because others tried to guess their password.
    """
    with told():
        settings = load_settings({"database_url": database_url})
        with opened(settings) as store:
            token = store.invitations.reset(name, by=by or me(), reason=reason)
        typer.echo(_link(settings, token))


def list_people(database_url: DatabaseOption = None) -> None:
    """List everybody who can log in, or could, with their roles; never a password."""
    from service.web.shown import parts_of

    with told(), opened(load_settings({"database_url": database_url})) as store:
        table = Table("name", "display name", "role", "since", "disabled")
        for person in store.people.list():
            shown = "".join(part.text for part in parts_of(person.display_name))
            since = person.created_at.isoformat(timespec="seconds")
            gone = person.disabled_at.isoformat(timespec="seconds") if person.disabled_at else ""
            table.add_row(person.name, Text(shown), person.role.value, since, gone)
        Console().print(table)


def set_role(
    name: NameArgument,
    role: RoleOption,
    database_url: DatabaseOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Change what somebody may do; their sessions end, and they log in again."""
    with told(), opened(load_settings({"database_url": database_url})) as store:
        store.people.set_role(name, role, by=by or me(), reason=reason)
        typer.echo(f"{name} is {role.value} from now on")


def disable(
    name: NameArgument,
    database_url: DatabaseOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Let somebody log in no longer; their sessions end at once, their verdicts stay."""
    with told(), opened(load_settings({"database_url": database_url})) as store:
        store.people.disable(name, by=by or me(), reason=reason)
        typer.echo(f"{name} can log in no longer")


def revoke_sessions(
    name: NameArgument,
    database_url: DatabaseOption = None,
    by: ByOption = None,
    reason: ReasonOption = "",
) -> None:
    """Log somebody out in every browser; their password stays good."""
    with told(), opened(load_settings({"database_url": database_url})) as store:
        ended = store.sessions.end_all(name, by=by or me(), reason=reason)
        typer.echo(f"{name} is logged out of {ended} {'session' if ended == 1 else 'sessions'}")


def _link(settings: Settings, token: str) -> str:
    """Where to open a link. A service that listens everywhere is reached by its own name."""
    from service.web.pages import PAGES

    host = settings.host if settings.on_loopback else "localhost"
    listened = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    return f"{settings.public_url or listened}{PAGES}/welcome/{token}"
