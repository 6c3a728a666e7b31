"""`python -m bench`: measure, print, and write `var/bench/results.json`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from transformers.utils import logging

from bench import contest, rows, table
from bench.programme import FAMILIES, LONG, programme
from probing.errors import ProbingError
from probing.model import BUNDLED

RESULTS = Path("var/bench/results.json")
WIDTH = 150
"""Columns where the output is no terminal: a log can be as wide as its table."""


def main(
    quick: Annotated[bool, typer.Option(help="Two minutes instead of twenty.")] = False,
    out: Annotated[Path, typer.Option(help="Where the rows are written.")] = RESULTS,
    model: Annotated[str, typer.Option(help="Measure this directory in Magpie's place.")] = BUNDLED,
    family: Annotated[list[str] | None, typer.Option(help="Only this family; repeatable.")] = None,
) -> None:
    """Measure the engine beside what one would use instead of it."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    families = tuple(family or FAMILIES)
    unknown = set(families) - {*FAMILIES, *LONG}
    if unknown:
        known = ", ".join((*FAMILIES, *LONG))
        console.print(f"[red]no family {', '.join(unknown)}; there are {known}[/red]")
        raise typer.Exit(2)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    console.print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{'quick' if quick else 'full'} run"
    )
    began = time.perf_counter()
    try:
        contests = programme(model, quick=quick, families=families)
        measured = contest.run(contests, console, lambda found: rows.write(found, out))
    except ProbingError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    table.show(measured, console)
    console.print(f"{time.perf_counter() - began:.0f} s; written to {out}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
