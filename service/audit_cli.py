"""`probewatch audit list | verify | anchor`: who changed what, and whether that can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from service.cli import DatabaseOption, opened, told
from service.settings import CannotStart, Settings, load_settings
from service.store.chain import COLUMNS

if TYPE_CHECKING:
    from service.store.anchors import AnchorFile
    from service.store.lines import Line
    from service.store.verify import Verification

_FINDINGS_SHOWN_MAX = 100


def list_entries(
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Entries at most.")] = 20,
    database_url: DatabaseOption = None,
) -> None:
    """Show the newest entries, newest first: who changed what, when and why.

    Damaged entries are shown as they stand; what is wrong with them is said by
    `probewatch audit verify`.
    """
    with told(), opened(load_settings({"database_url": database_url})) as store:
        when = Column("when (UTC)", no_wrap=True)
        table = Table("entry", when, "who", "what", "change", "why")
        for line in store.audit.lines(limit=limit):
            table.add_row(str(line.id), *_row(line))
        Console().print(table)


def verify(
    anchors: Annotated[
        Path | None,
        typer.Option(
            "--anchors", help="File of anchors; the one in the settings, if there is one."
        ),
    ] = None,
    database_url: DatabaseOption = None,
) -> None:
    """Go through the whole audit and name every tampering; status 1 if any.

    Every entry holds a hash over itself and the entry before, so one that was
    edited, inserted, deleted or moved shows by itself. Whoever can write the
    database could make all hashes anew, or cut the end off together with the
    head. Only anchors show that: heads of the chain that were kept elsewhere.

    One line per finding names its kind and the entries. Before anything else,
    copy the database as it is; then compare those entries with a backup.

        probewatch audit verify --anchors /mnt/elsewhere/anchors.jsonl
    """
    with told():
        settings = load_settings({"database_url": database_url})
        kept = _anchors(anchors, settings)
        with opened(settings) as store:
            found = store.audit.verify(kept.anchors if kept else (), _tell_progress)
        if not found.whole:
            _tell_findings(found)
            raise typer.Exit(1)
        typer.echo(
            f"{found.entries:,} {_entries(found.entries)}, whole, head {found.head}, "
            f"{_anchored(found, kept)}"
        )


def anchor(
    file: Annotated[str | None, typer.Option("--file", help="Append to this file.")] = None,
    syslog: Annotated[
        str | None, typer.Option("--syslog", help="Send to /dev/log, or to HOST:PORT by UDP.")
    ] = None,
    webhook: Annotated[str | None, typer.Option("--webhook", help="POST to this URL.")] = None,
    database_url: DatabaseOption = None,
) -> None:
    """Keep the head of the audit's chain outside the database, once, now.

    The service does this by itself every few minutes where a setting names a
    place: audit_anchor_file, audit_anchor_syslog, audit_anchor_webhook. What is
    given here stands in for the setting of that kind. A place that whoever owns
    the database can also write proves nothing.

        probewatch audit anchor --file /mnt/elsewhere/anchors.jsonl
    """
    from service.anchoring import NotKept, targets_of

    with told():
        settings = load_settings(
            {
                "database_url": database_url,
                "audit_anchor_file": file,
                "audit_anchor_syslog": syslog,
                "audit_anchor_webhook": webhook,
            }
        )
        targets, failed = targets_of(settings), False
        if not targets:
            raise CannotStart(
                "there is no place to anchor to; give --file, --syslog or --webhook, or name one "
                "in PROBEWATCH_AUDIT_ANCHOR_FILE, _SYSLOG or _WEBHOOK"
            )
        with opened(settings) as store:
            head = store.audit.head()
        for target in targets:
            try:
                target.keep(head)
                many = f"{head.length:,} {_entries(head.length)}"
                typer.echo(f"{many}, head {head.hash}, anchored to the {target.kind}")
            except NotKept as error:
                failed = True
                typer.echo(f"probewatch: not anchored to the {target.kind}: {error}", err=True)
        if failed:
            raise typer.Exit(1)


def _anchors(path: Path | None, settings: Settings) -> AnchorFile | None:
    from service.store.anchors import read_anchors

    if path is None and settings.audit_anchor_file:
        path = Path(settings.audit_anchor_file)
    if path is None:
        return None
    kept = read_anchors(path)
    for number in kept.unread[:3]:
        typer.echo(f"probewatch: line {number} of {path} is no anchor and is left out", err=True)
    if len(kept.unread) > 3:
        typer.echo(f"probewatch: {len(kept.unread) - 3} more such lines", err=True)
    return kept


def _anchored(found: Verification, kept: AnchorFile | None) -> str:
    if kept is None:
        return "not compared with anchors: --anchors FILE would show whether it was made anew"
    if found.anchored is None:
        return "anchored nowhere: the file is empty"
    newest = found.anchored
    since = found.entries - newest.length
    at = newest.at.isoformat(" ", "seconds")
    return f"anchored {at} at entry {newest.length:,} ({since:,} since, {found.anchors:,} anchors)"


def _tell_findings(found: Verification) -> None:
    for finding in found.findings[:_FINDINGS_SHOWN_MAX]:
        typer.echo(str(finding))
    more = len(found.findings) - _FINDINGS_SHOWN_MAX
    if more > 0:
        typer.echo(f"and {more:,} more findings")
    typer.echo(
        f"probewatch: expected a whole chain of {found.entries:,} {_entries(found.entries)}, "
        "but found what stands above; copy the database as it is, then compare it with a backup",
        err=True,
    )


def _tell_progress(done: int, of: int) -> None:
    typer.echo(f"{done:,} of {of:,} entries", err=True)


def _entries(many: int) -> str:
    return "entry" if many == 1 else "entries"


def _row(line: Line) -> list[Text]:
    """A line's columns; whatever a terminal would obey is shown by its number instead."""
    at, actor, action, subject, before, after, reason = (line.shown(name) for name in COLUMNS)
    change = after if before is None else f"{before} → {after or 'nothing'}"
    shown = ((at or "").partition(".")[0], actor, f"{action} {subject}", change, reason)
    return [Text("".join(map(_harmless, text or ""))) for text in shown]


def _harmless(character: str) -> str:
    return character if character.isprintable() else f"\\x{ord(character):02x}"
