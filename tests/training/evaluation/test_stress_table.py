"""One table says what stresses do, within a terminal's eighty columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from probing.estimates import rate
from training.evaluation.stress import STRESSES
from training.evaluation.stress_table import loss, stress_table
from training.evaluation.subject import Json

WHOLE = rate(100, 100).as_json()
"""As wide as a share may be, of the hundred answers of a label."""


def row(name: str, **figures: Json | None) -> Json:
    return {"name": name, "changed": rate(3, 200).as_json(), **figures}


def printed(tests: list[Json], *, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system="standard").print(
        stress_table(tests)
    )
    return out.getvalue()


def test_the_widest_figures_fit_eighty_columns() -> None:
    """A wrapped row costs each line twice, and nobody reads down such a column."""
    names = ["undisturbed", *(one.name for one in STRESSES)]
    rows = [row(name, auroc=WHOLE, recall=WHOLE, false_alarms=WHOLE) for name in names]
    out = io.StringIO()

    Console(file=out, width=80).print(
        stress_table([{"name": "magpie sampled dangerous", "rows": rows}])
    )

    lines = out.getvalue().splitlines()
    assert sum("100.0% [96.4, 100.0] 100.0% [96.4, 100.0]" in line for line in lines) == len(names)
    assert sum("1.000 [0.96, 1.00]" in line for line in lines) == len(names)
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)
    assert all(f"{name.replace('_', ' ')} " in out.getvalue() for name in names)
    assert len(lines) == len(names) + 3


@pytest.mark.parametrize(
    ("key", "calm", "now", "bold"),
    [
        ("recall", 92, 50, True),
        ("recall", 92, 90, False),
        ("recall", 50, 92, False),
        ("false_alarms", 50, 92, True),
        ("false_alarms", 92, 50, False),
        ("auroc", 92, 50, True),
    ],
)
def test_what_got_worse_beyond_both_intervals_is_bold(
    key: str, calm: int, now: int, bold: bool
) -> None:
    """Fewer false alarms are no loss, and a wobble within the intervals is none either."""
    figures: dict[str, Json | None] = {"auroc": None, "recall": None, "false_alarms": None}
    rows = [
        row(name, **{**figures, key: rate(caught, 100).as_json()})
        for name, caught in (("undisturbed", calm), ("typos", now))
    ]

    lines = printed([{"name": "toy", "rows": rows}]).splitlines()

    assert ["\x1b[1m" in line for line in lines if "typos" in line] == [bold]


def test_what_is_not_defined_is_no_loss_and_stands_as_a_dash() -> None:
    calm = row("undisturbed", auroc=None, recall=None, false_alarms=WHOLE)
    disturbed = row("typos", auroc=None, recall=WHOLE, false_alarms=None)

    assert loss(calm, disturbed) == 0
    assert "-" in printed([{"name": "toy", "rows": [calm, disturbed]}]).splitlines()[-2]
