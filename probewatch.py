"""The command line: one table of commands, each loaded when it is called.

`probewatch --help` answers at once and where only some of the extras are
installed, because a command's module is imported when the command runs. A user's
mistake is told in one sentence and ends with status 1; it never shows a traceback.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup

from probing.errors import ProbingError


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command's function is, and what to say of it without importing it."""

    function: str
    """`module:function`."""
    summary: str
    """One line in the list of commands."""
    extra: str
    """The package's extra that brings what it imports."""


@dataclass(frozen=True, slots=True)
class Family:
    """Commands under a common word."""

    summary: str
    """One line in the list of commands."""
    commands: Mapping[str, Command]
    """By name."""


COMMANDS: Mapping[str, Command | Family] = {
    "demo": Command("training.demo.cli:demo", "Watch the bundled model misbehave, live.", "dev"),
    "train": Command("training.cli:train", "Train, calibrate and publish a probe.", "train"),
    "sweep": Command("training.cli:sweep", "Compare sites, probe families, statistics.", "train"),
    "data": Command("training.cli:data", "Show, check or write the bundled data sets.", "train"),
    "evaluate": Command(
        "training.evaluation.cli:evaluate", "Measure a published probe, with controls.", "train"
    ),
    "compare": Command(
        "training.evaluation.cli:compare", "Every probe family on Magpie's own answers.", "train"
    ),
    "calibrate": Command(
        "training.calibrate_cli:calibrate", "Set a threshold on traffic of your own.", "train"
    ),
    "collect": Command("training.scale.cli:collect", "Read a data set into the cache.", "train"),
    "rescore": Command("training.scale.cli:rescore", "Score an archive of transcripts.", "train"),
    "serve": Command("service.cli:serve", "Serve a model with its probes watching.", "serve"),
    "settings": Command("service.cli:settings", "Show every setting and its value.", "serve"),
    "keys": Family(
        "API keys of the service.",
        {
            "create": Command("service.cli:create_key", "Make a key and show it once.", "serve"),
            "list": Command("service.cli:list_keys", "Names, scopes, dates; no keys.", "serve"),
            "revoke": Command("service.cli:revoke_key", "End a key at once.", "serve"),
        },
    ),
    "probes": Family(
        "Probe versions in the store and in deployment.",
        {
            "list": Command("probes_store.cli:list_probes", "All published versions.", "serve"),
            "show": Command("probes_store.cli:show", "One version's card and figures.", "serve"),
            "verify": Command("probes_store.cli:verify", "Check every byte of versions.", "serve"),
            "promote": Command("service.cli:promote", "Let a version decide.", "serve"),
            "rollback": Command("service.cli:rollback", "Return to the version before.", "serve"),
        },
    ),
    "people": Family(
        "People who log in to the review pages.",
        {
            "invite": Command("service.people_cli:invite", "A one-time link to join.", "serve"),
            "list": Command("service.people_cli:list_people", "Names, roles, dates.", "serve"),
            "set-role": Command("service.people_cli:set_role", "Change a role at once.", "serve"),
            "reset-password": Command(
                "service.people_cli:reset_password", "A one-time link to a new one.", "serve"
            ),
            "disable": Command("service.people_cli:disable", "Let in no longer.", "serve"),
            "revoke-sessions": Command(
                "service.people_cli:revoke_sessions", "Log out everywhere.", "serve"
            ),
        },
    ),
    "audit": Family(
        "Who changed what, as a chain that shows tampering.",
        {
            "list": Command("service.audit_cli:list_entries", "The newest entries.", "serve"),
            "verify": Command("service.audit_cli:verify", "Look for tampering.", "serve"),
            "anchor": Command("service.audit_cli:anchor", "Keep the head outside, once.", "serve"),
        },
    ),
    "report": Family(
        "Reports for those who decide.",
        {
            "evaluation": Command(
                "training.report.cli:report", "One page of an evaluation.", "train"
            ),
        },
    ),
    "experiment": Family(
        "The experiments that this field grew from.",
        {
            "helpfulness": Command(
                "training.experiments.cli:helpfulness", "Helpful or not, layer by layer.", "train"
            ),
            "transfer": Command(
                "training.experiments.cli:transfer", "Fit on one pair, test on another.", "train"
            ),
            "parts-of-speech": Command(
                "training.experiments.cli:parts_of_speech", "Word classes, with controls.", "train"
            ),
            "known-inside": Command(
                "training.experiments.cli:known_inside", "Known inside, used outside?", "train"
            ),
        },
    ),
    "organism": Family(
        "The bundled model organism.",
        {
            "train": Command(
                "training.organism.cli:train", "Train Magpie again from scratch.", "train"
            ),
            "measure": Command(
                "training.organism.cli:measure", "Measure a trained organism.", "train"
            ),
        },
    ),
}


class LazyGroup(TyperGroup):
    """A group that lists commands from a table and imports only the one that is called."""

    def __init__(self, name: str, table: Mapping[str, Command | Family], summary: str) -> None:
        super().__init__(name=name, help=summary, no_args_is_help=True, rich_markup_mode=None)
        self._table = table

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = self._table.get(cmd_name)
        if isinstance(entry, Family):
            return LazyGroup(cmd_name, entry.commands, entry.summary)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._table.items()])


app = LazyGroup(
    "probewatch",
    COMMANDS,
    "Watch a language model from the inside while it answers.\n\n"
    "Begin with `probewatch demo`; `probewatch COMMAND --help` teaches each command.",
)


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="probewatch")
    except ProbingError as error:
        typer.echo(f"probewatch: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        told = f"{error.filename} cannot be used ({error.strerror}); name another place or free it"
        typer.echo(f"probewatch: {told}", err=True)
        sys.exit(1)


def _load(name: str, command: Command) -> Any:
    module, _, function = command.function.partition(":")
    try:
        target = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        part = (error.name or "").split(".")[0]
        remedy = f"install it with: pip install 'probewatch[{command.extra}]'"
        if part in ("service", "training", "probes_store"):
            remedy = "this installation was made without that part"
        typer.echo(f"probewatch: `{name}` needs {error.name}; {remedy}", err=True)
        raise typer.Exit(1) from error
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(target)
    return typer.main.get_command(single)


if __name__ == "__main__":
    main()
