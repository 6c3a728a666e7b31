"""What stresses do to a probe, in one table for people.

A row for each stress on each test set, within the eighty columns of a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from probing.estimates import Estimate
from training.evaluation.subject import Json
from training.tables import area, share

GOOD_IS_HIGH = {"auroc": True, "recall": True, "false_alarms": False}
"""Figures that stresses are judged by, and which way they get worse."""
COLUMNS = {"": 15, "n": 3, "AUROC": 18, "caught": 20, "false alarms": 20}
"""Heads, and letters that the widest entries take: eighty with the gaps."""


def stress_table(tests: Sequence[Json]) -> Group:
    """Figures with their intervals; bold where an interval lies wholly on the worse side.

    Args:
        tests: as in the JSON file, the undisturbed row first.
    """
    tables = [_of_one(test, heads=number == 0) for number, test in enumerate(tests)]
    return Group(*tables, Text("bold: worse than undisturbed, beyond both intervals", "dim"))


def _of_one(test: Json, *, heads: bool) -> Table:
    table = Table(
        box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=heads,
        title=Text(test["name"], "italic"), title_justify="left",
    )  # fmt: skip
    for head, width in COLUMNS.items():
        table.add_column(head, width=width)
    calm = test["rows"][0]
    for row in test["rows"]:
        figures = (_cell(key, calm, row) for key in GOOD_IS_HIGH)
        table.add_row(row["name"].replace("_", " "), str(row["changed"]["n"]), *figures)
    return table


def loss(calm: Json, row: Json) -> float:
    """The largest change for the worse among the figures."""
    return max(
        (1 if high else -1) * (calm[key]["value"] - row[key]["value"])
        if calm[key] and row[key]
        else 0.0
        for key, high in GOOD_IS_HIGH.items()
    )


def _cell(key: str, calm: Mapping[str, Json | None], row: Mapping[str, Json | None]) -> Text:
    written, before = row[key], calm[key]
    if written is None:
        return Text("-", "dim")
    now = Estimate(**written)
    text = Text((area if key == "auroc" else share)(now))
    if before is not None:
        was = Estimate(**before)
        worse = now.high < was.low if GOOD_IS_HIGH[key] else now.low > was.high
        text.stylize("bold" if worse else "")
    return text
