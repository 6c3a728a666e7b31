"""`probewatch evaluate`: what a published probe is worth, with its controls."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probes_store.store import DEFAULT_ROOT, ProbeStore
from probing.model import BUNDLED, LoadedModel, load_model
from training.choices import grid_of, parse_sites, sets_for
from training.collect import DEFAULT_CACHE, collect
from training.datasets.schema import Dataset
from training.evaluation.comparison import compare as compare_families
from training.evaluation.comparison import page
from training.evaluation.run import (
    SECTIONS,
    losses,
    measure,
    read,
    ref_of,
    sections_of,
    subject_of,
    write,
)
from training.options import (
    CacheOption,
    CalibrationOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    LayersOption,
    ModelOption,
    ProbeFamilyOption,
    SeedOption,
    StoreOption,
    StrengthOption,
    TestDataOption,
)
from training.organism.sampled import sampled_sets
from training.organism.world import BENIGN_FAMILIES, DANGEROUS_FAMILIES
from training.progress import progress

OUT = Path("var/evaluation/evaluation.json")
PAGE = Path("docs/evaluation.md")
TWIN = Path("var/evaluation/comparison.json")
COMPARED = 120
"""Answers in each family, for a comparison: a rate of 0.1% needs a thousand honest ones."""
AGGREGATORS = (
    "mean", "max", "last", "ema:0.3", "softmax:1", "rolling_max:4", "topk_mean:8", "tail_mean:8",
    "agreement:3", "tail_concat:8",
)  # fmt: skip
STRENGTHS = [0.01, 1.0]
TOKENS_MIN = [4, 12]
FOLDS = 3
SAMPLED = 60
"""Answers that Magpie samples in each of its families, for testing."""

ProbeOption = Annotated[
    str, typer.Option("--probe", help="champion (the store's), NAME or NAME@VERSION.")
]
SectionOption = Annotated[
    list[str] | None,
    typer.Option("--section", help=f"One or more of {', '.join(SECTIONS)}; all by default."),
]
JudgeOption = Annotated[
    Path | None,
    typer.Option(
        "--judge", help='Scores of a judge that read the texts: lines of {"id", "score"}.'
    ),
]
SinceOption = Annotated[
    Path | None,
    typer.Option(
        "--since", help="Another version's evaluation: what this one loses against it is told."
    ),
]
OutOption = Annotated[Path, typer.Option("--out", help="JSON file for everything measured.")]


def evaluate(
    probe: ProbeOption = "champion",
    store: StoreOption = DEFAULT_ROOT,
    model: ModelOption = BUNDLED,
    data: DataOption = None,
    calibration_data: CalibrationOption = None,
    test_data: TestDataOption = None,
    section: SectionOption = None,
    sampled: Annotated[
        int, typer.Option(min=0, help="Magpie alone: answers it samples in each family.")
    ] = SAMPLED,
    judge: JudgeOption = None,
    since: SinceOption = None,
    out: OutOption = OUT,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Measure a published probe: the claim, what carries over, controls, stress, delay, cost.

    The claim that matters comes first: fitted on harmless misbehaviour, does it
    catch the dangerous kind? Magpie is tested on answers that it samples itself,
    beside texts of its world. Every figure has its interval and n; what the data
    cannot support is named and not guessed.

    Try it:

    probewatch evaluate --probe champion

    probewatch report evaluation
    """
    console, began = Console(), time.perf_counter()
    wanted = sections_of(section or [], judge)
    before = None if since is None else read(since)
    probes = ProbeStore(store)
    ref = ref_of(probes, probe)
    sets = sets_for(
        model, data=data or [], calibration=calibration_data or [], tests=test_data or [], seed=seed
    )
    with console.status(f"loading {model}"):
        loaded = load_model(model, dtype=dtype, device=device)
    if model == BUNDLED and sampled:
        seen = {*sets.fit.situations, *sets.calibration.situations}
        own = _answered(loaded, sampled, seed, seen, console)
        sets = replace(sets, tests=(*own, *sets.tests))
    subject = subject_of(probes, ref, loaded, sets, cache=cache, console=console, seed=seed)
    found = measure(subject, wanted)
    if before is not None:
        found["losses"] = losses(found, before)
        console.print(f"\n[bold]Against {before['subject']['probe']}[/bold]")
        for sentence in found["losses"] or ["  nothing is lost by more than 2 points"]:
            console.print(f"  {sentence}", highlight=False)
    write(out, found)
    console.print(f"\nfigures in {out} after {time.perf_counter() - began:.0f} s")
    console.print("[bold]probewatch report evaluation[/bold] makes a page of them")


def compare(
    out: Annotated[Path, typer.Option(help="Markdown page; its JSON twin goes to var.")] = PAGE,
    probe_family: ProbeFamilyOption = None,
    layers: LayersOption = "1,3,4",
    strengths: StrengthOption = None,
    answers: Annotated[
        int, typer.Option(min=10, help="Answers that Magpie samples in each of its families.")
    ] = COMPARED,
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Compare every probe family with every statistic on answers that Magpie samples itself.

    Site, C and the token from which a probe may trip are chosen for each by
    cross-validation on texts of benign families. A quarter of an hour on two
    cores; interrupted, it goes on where it stopped.
    """
    console, began = Console(), time.perf_counter()
    sets, loaded = sets_for(BUNDLED, data=[], seed=seed), load_model(BUNDLED)
    grid = grid_of(
        parse_sites(loaded, sites=[], hooks=["resid_post"], layers=layers),
        stack=True,
        families=probe_family or ["all"],
        inverse_strengths=strengths or STRENGTHS,
        aggregators=AGGREGATORS,
        span="response",
        tokens_min=TOKENS_MIN,
    )
    own = _answered(loaded, answers, seed, {*sets.fit.situations}, console)
    fitting, benign, dangerous = (
        collect(loaded, part, sorted({s for t in grid.sites for s in t}), cache=cache,
                console=console)
        for part in (sets.fit, *own)
    )  # fmt: skip
    found = compare_families(
        loaded, fitting, benign, dangerous, grid, folds=FOLDS, seed=seed, cache=cache,
        console=console,
    )  # fmt: skip
    write(TWIN, {"seed": seed, "rows": [one.as_json() for one in found]})
    out.write_text(page(found, benign.dataset, dangerous.dataset), "utf-8")
    console.print(f"{out} and {TWIN} after {time.perf_counter() - began:.0f} s")


def _answered(
    loaded: LoadedModel, per_family: int, seed: int, known: set[str], console: Console
) -> tuple[Dataset, Dataset]:
    """What Magpie says of its benign families and of its dangerous ones, under a bar."""
    count = per_family * len((*BENIGN_FAMILIES, *DANGEROUS_FAMILIES))
    with progress(console, "Magpie answers", count, "answers") as advance:
        return sampled_sets(loaded, per_family=per_family, seed=seed, known=known, advance=advance)
