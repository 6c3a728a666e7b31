"""`probewatch probes list | show | verify`: look into a store without loading a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Column, Table

from probes_store.draft import CARD
from probes_store.manifest import Manifest
from probes_store.ref import Ref
from probes_store.store import DEFAULT_ROOT, ProbeStore
from probing.errors import ProbingError
from probing.probe import Role

StoreOption = Annotated[Path, typer.Option("--store", help="Directory of published probes.")]
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
"""The card's block for machines."""
BEGINS = "begins as: the store's alias, which seeds an empty database and changes no other"
SHOWN_ROLES: tuple[Role, ...] = ("champion", "challenger")


def list_probes(store: StoreOption = DEFAULT_ROOT) -> None:
    """List every published version with its sites, threshold and measured rate.

    "begins as" is the store's alias: what a service begins with whose database is empty. What a
    running database has decided since is not in the store; `probewatch probes promote` changes it.
    """
    probes, console = ProbeStore(store), Console()
    refs = probes.list()
    if not refs:
        console.print(f"no probes in {store}; `probewatch train --store {store}` publishes one")
        return
    table = Table(Column("probe", no_wrap=True), "begins as", "model", "reads", "false alarms")
    table.caption = BEGINS
    table.caption_justify = "left"
    for ref in refs:
        table.add_row(*_row(probes, ref))
    console.print(table)


def show(
    probe: Annotated[str, typer.Argument(help="NAME or NAME@VERSION.")],
    store: StoreOption = DEFAULT_ROOT,
) -> None:
    """Show one version: its manifest in a table, then its card."""
    probes, console, ref = ProbeStore(store), Console(), Ref.parse(probe)
    manifest = probes.manifest(ref)
    table = Table("field", "value", title=f"{manifest.name}@{manifest.version}")
    for name, value in _facts(manifest):
        table.add_row(name, value)
    console.print(table)
    metrics = Table("metric", "value", "95% interval", "n")
    for name, figure in manifest.metrics.items():
        interval = f"{figure.low:.3f} to {figure.high:.3f}"
        metrics.add_row(name, f"{figure.value:.3f}", interval, str(figure.n))
    console.print(metrics)
    card = probes.companion(ref, CARD)
    if card is not None:
        console.print(Markdown(FRONT_MATTER.sub("", card.decode("utf-8", "replace"))))


def verify(
    probe: Annotated[list[str] | None, typer.Argument(help="NAME@VERSION; all if none.")] = None,
    store: StoreOption = DEFAULT_ROOT,
) -> None:
    """Check every byte of some versions, or of all; status 1 if any is not as published."""
    probes, console = ProbeStore(store), Console()
    refs = [probes.resolve(Ref.parse(text)) for text in probe] if probe else list(probes.list())
    table, damaged = Table("probe", "files", "bytes", "verdict"), 0
    for ref in refs:
        try:
            files = probes.verify(ref).files
            size = sum(record.bytes for record in files.values())
            table.add_row(str(ref), str(len(files) + 2), f"{size:,}", "[green]as published[/]")
        except ProbingError as error:
            damaged += 1
            table.add_row(str(ref), "", "", f"[red]{error}[/]")
    console.print(table)
    if damaged:
        raise typer.Exit(1)


def _row(probes: ProbeStore, ref: Ref) -> list[str]:
    try:
        manifest = probes.manifest(ref)
    except ProbingError as error:
        return [str(ref), "", "", f"[red]{error}[/]", ""]
    roles = [role for role in SHOWN_ROLES if probes.alias(role) == ref]
    achieved = manifest.calibration.achieved
    return [
        str(ref),
        ", ".join(roles),
        manifest.provenance.name,
        f"{', '.join(manifest.sites)}, {manifest.aggregator}",
        f"{achieved.value:.2%} of {achieved.n}",
    ]


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    sets = [f"{d.name} ({d.examples}, {d.sha256[:12]})" for d in manifest.training_data]
    calibration = manifest.calibration
    against = [f"{d.name} ({d.examples}, {d.sha256[:12]})" for d in calibration.data]
    return [
        ("published", manifest.created_at),
        ("model", f"{manifest.provenance.name} ({manifest.reading.dtype})"),
        ("fingerprint", manifest.fingerprint),
        ("kind", manifest.kind),
        ("sites", ", ".join(manifest.sites)),
        ("span, aggregator", f"{manifest.span}, {manifest.aggregator}"),
        ("threshold", f"{manifest.threshold:.4f} from response token {manifest.tokens_min} on"),
        ("false-positive rate", f"asked {calibration.fpr_target:g}, got {calibration.achieved}"),
        ("calibrated on", ", ".join(against)),
        ("trained on", ", ".join(sets)),
        ("golden tolerance", f"{manifest.golden_tolerance:g}"),
        ("replaces", manifest.parent or "nothing"),
        ("libraries", ", ".join(f"{k} {v}" for k, v in manifest.libraries.items())),
    ]
