"""`probewatch report evaluation`: a page of an evaluation, for those who decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.report.changes import compare
from training.report.evaluation import read_evaluation
from training.report.page import BLIND, as_html, as_json, make_report
from training.report.printing import print_pdf
from training.report.rule import DEFAULT_RULE, read_rule

EVALUATION = Path("var/evaluation/evaluation.json")
OUT = Path("var/report")
MINUTES_PER_CASE = 5.0


def report(
    evaluation: Annotated[
        Path, typer.Argument(help="What `probewatch evaluate` wrote.")
    ] = EVALUATION,
    out: Annotated[
        Path, typer.Option(help="Folder for report.html, its twin report.json, and report.pdf.")
    ] = OUT,
    by: Annotated[
        str | None, typer.Option(help="Who made the evaluation; else it says: not stated.")
    ] = None,
    interests: Annotated[
        str | None, typer.Option(help="Their conflicts of interest; else it says: not stated.")
    ] = None,
    rule: Annotated[
        Path,
        typer.Option(
            help="What is asked of the probe, set before it was measured.",
            show_default="rule.toml of this package",
        ),
    ] = DEFAULT_RULE,
    since: Annotated[
        Path | None, typer.Option(help="The last report's evaluation, to be set beside this one.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="A reviewer's time for one flagged output.")
    ] = MINUTES_PER_CASE,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print it too, if chromium is installed.")
    ] = False,
) -> None:
    """Make one page of an evaluation, with one conclusion by a rule that was set before.

    The page needs neither network nor scripts, and prints on A4. What was not
    measured is said. report.json holds the figures of page one for machines.

    Try it:

    probewatch report evaluation --by "The measuring team" --interests none
    """
    measured, asked = read_evaluation(evaluation), read_rule(rule)
    made = make_report(
        measured,
        asked,
        comparison=None if since is None else compare(read_evaluation(since), measured),
        by=by,
        interests=interests,
        minutes_per_case=minutes,
    )
    out.mkdir(parents=True, exist_ok=True)
    page = out / "report.html"
    page.write_text(as_html(made), "utf-8")
    (out / "report.json").write_text(as_json(made), "utf-8")
    console = Console()
    for told in (made.conclusion, f"{BLIND} {made.caution}"):
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    console.print(f"page in {page}", highlight=False, markup=False, soft_wrap=True)
    if pdf:
        print_pdf(page, out / "report.pdf")
        console.print(f"printed in {out / 'report.pdf'}", highlight=False, markup=False)
