"""What the training commands can be asked, grouped as their help shows it.

Each type is one option with its sentence; the commands give the defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.datasets.bundled import NAMES
from training.families.table import NAMES as NAMES_OF_FAMILIES

READING = "Model and readings"
DATA = "Data"
GRID = "What is compared"
LAYERS = "One fit per site, tested on other examples (--split, --test-on)"
RESULT = "Result"

PAIR = (
    "two files, the misbehaving examples first. Plain text, one example a line; in .jsonl "
    '{"text": ...} or a whole exchange a line.'
)

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="magpie, a Hugging Face directory, or a hub name.",
        rich_help_panel=READING,
    ),
]
SitesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sites", help="blocks.3.hook_resid_post, ... (repeatable).", rich_help_panel=READING
    ),
]
LayersOption = Annotated[
    str, typer.Option("--layers", help="all, 3, 0-5 or 0,2,4-6.", rich_help_panel=READING)
]
HookOption = Annotated[
    list[str] | None,
    typer.Option(
        "--hook",
        help="resid_pre, attn_out, resid_mid, mlp_out, resid_post (repeatable).",
        rich_help_panel=READING,
    ),
]
SpanOption = Annotated[
    str,
    typer.Option(
        "--span",
        help="Tokens that are fitted on: response, tail:K, all or prompt.",
        rich_help_panel=READING,
    ),
]
DtypeOption = Annotated[
    str,
    typer.Option("--dtype", help="float32, bfloat16 or float16.", rich_help_panel=READING),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda or cuda:N.", rich_help_panel=READING)
]
CacheOption = Annotated[
    Path, typer.Option("--cache", help="Directory of cached readings.", rich_help_panel=READING)
]

DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help=f"{' or '.join(NAMES)}, or files of JSON lines such as `probewatch data write` "
        "writes (repeatable).",
        rich_help_panel=DATA,
    ),
]
CalibrationOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--calibration-data",
        help="Honest answers for the threshold, instead of those of --data (repeatable).",
        rich_help_panel=DATA,
    ),
]
TestDataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--test-data",
        help="Only measured on, beside the tests of a bundled set (repeatable).",
        rich_help_panel=DATA,
    ),
]
TrainOnOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--train-on", help=f"Instead of --data, {PAIR}", rich_help_panel=DATA),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Of every split and generated set.", rich_help_panel=DATA)
]

AggregatorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--aggregator",
        help="mean, ema:0.1, tail_concat:8, ... (repeatable).",
        rich_help_panel=GRID,
    ),
]
ProbeFamilyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--probe-family",
        help=f"all, or one of {', '.join(NAMES_OF_FAMILIES)} (repeatable); "
        "logistic_regression by default.",
        rich_help_panel=GRID,
    ),
]
StrengthOption = Annotated[
    list[float] | None,
    typer.Option(
        "--C", help="Inverse strength of the L2 penalty (repeatable).", rich_help_panel=GRID
    ),
]
StackOption = Annotated[
    bool,
    typer.Option("--stack", help="Try all sites in one probe too.", rich_help_panel=GRID),
]
MinOption = Annotated[
    list[int] | None,
    typer.Option(
        "--tokens-min",
        help="Answer tokens before it may trip (repeatable).",
        rich_help_panel=GRID,
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option("--folds", min=2, help="Parts of the cross-validation; 5.", rich_help_panel=GRID),
]
FamiliesOption = Annotated[
    bool | None,
    typer.Option(
        "--by-family/--by-situation",
        help="What cross-validation holds out whole; families, where there are enough.",
        rich_help_panel=GRID,
    ),
]

TestOnOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--test-on", help=f"Test on {PAIR}", rich_help_panel=LAYERS),
]
SplitOption = Annotated[
    float | None,
    typer.Option(
        "--split",
        help="Fit on this share and test on the rest, whole situations on either side.",
        rich_help_panel=LAYERS,
    ),
]
PoolOption = Annotated[
    str | None,
    typer.Option(
        "--pool",
        help="mean of the span's tokens, or concat: side by side, which needs --span tail:K.",
        rich_help_panel=LAYERS,
    ),
]

OutOption = Annotated[
    Path, typer.Option("--out", help="JSON file for the figures.", rich_help_panel=RESULT)
]
RateOption = Annotated[
    float,
    typer.Option("--fpr", help="False alarms to allow, per honest answer.", rich_help_panel=RESULT),
]
NameOption = Annotated[
    str, typer.Option("--name", help="The probe's name.", rich_help_panel=RESULT)
]
StoreOption = Annotated[
    Path, typer.Option("--store", help="Directory of published probes.", rich_help_panel=RESULT)
]
PromoteOption = Annotated[
    bool,
    typer.Option(
        "--promote",
        help="Make it the store's champion, with which an empty database begins; one that has "
        "a champion keeps it until `probewatch probes promote NAME@V`.",
        rich_help_panel=RESULT,
    ),
]
NotesOption = Annotated[
    Path | None,
    typer.Option(
        "--notes",
        exists=True,
        dir_okay=False,
        help="Markdown in UTF-8 for the card.",
        rich_help_panel=RESULT,
    ),
]
