"""`probewatch collect` and `rescore`: the two long steps, for sets of any size."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from probes_store.store import DEFAULT_ROOT, ProbeStore
from probing.model import BUNDLED, LoadedModel, load_model
from training.choices import fitting_set, parse_sites, sets_for
from training.collect import DEFAULT_CACHE
from training.collect import collect as collect_readings
from training.datasets.schema import Dataset
from training.evaluation.run import ref_of
from training.options import (
    CacheOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    HookOption,
    LayersOption,
    ModelOption,
    SeedOption,
    SitesOption,
    StoreOption,
)
from training.scale.crew import Crew, Processes
from training.scale.model_source import ModelSource
from training.scale.over_ray import OverRay
from training.scale.rescore import Tally, Work
from training.scale.rescore import rescore as rescore_archive
from training.scale.scoring import Scorer, Scoring

CREW = "Who works"

ProcessesOption = Annotated[
    int,
    typer.Option(
        "--processes",
        min=1,
        help="So many at once, each with a model of its own; with --ray, actors.",
        rich_help_panel=CREW,
    ),
]
RayOption = Annotated[
    bool,
    typer.Option(
        "--ray",
        help=escape(
            "Spread the work over the Ray cluster that RAY_ADDRESS names, or one on this "
            "machine; pip install 'probewatch[scale]'."
        ),
        rich_help_panel=CREW,
    ),
]


class Purpose(StrEnum):
    """Which command is to find the readings."""

    SWEEP = "sweep"
    TRAIN = "train"


def collect(
    model: ModelOption = BUNDLED,
    data: DataOption = None,
    purpose: Annotated[
        Purpose, typer.Option("--for", help="Read what this command reads of the data.")
    ] = Purpose.SWEEP,
    sites: SitesOption = None,
    layers: LayersOption = "all",
    hook: HookOption = None,
    prompts: Annotated[
        bool, typer.Option("--prompts", help="Keep the prompts' readings beside the answers'.")
    ] = False,
    processes: ProcessesOption = 1,
    ray: RayOption = False,
    cache: CacheOption = DEFAULT_CACHE,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Read a data set at chosen sites into the cache, and go on where a killed run stopped.

    `sweep` and `train` with the same model, data, sites and cache then find their
    readings there. Memory holds the set's tokens and one forward pass's readings.

    Try it:

    probewatch collect --model gpt2 --data natural --processes 2
    """
    console = Console()
    sets = _sets(purpose, model, data or [], seed)
    loaded = _load(model, dtype, device, console)
    named = parse_sites(loaded, sites=sites or [], hooks=hook or ["resid_post"], layers=layers)
    crew = _crew(processes, over_ray=ray)
    for part in sets:
        found = collect_readings(
            loaded, part, named, cache=cache, console=console, whole=prompts, crew=crew
        )
        tokens = int(found.lengths.sum())
        told = f"{part.name}: {len(part):,} answers, {tokens:,} tokens, sites: {len(named)}"
        console.print(told, highlight=False)


def rescore(
    archive: Annotated[Path, typer.Argument(help="JSON lines, each with an id and messages.")],
    out: Annotated[Path, typer.Option("--out", help="JSON lines, one for each transcript.")],
    probe: Annotated[
        str, typer.Option("--probe", help="champion (the store's), NAME or NAME@VERSION.")
    ] = "champion",
    store: StoreOption = DEFAULT_ROOT,
    model: ModelOption = BUNDLED,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out, behind its last whole chunk.")
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Count lines that cannot be scored and leave them out."),
    ] = False,
    processes: ProcessesOption = 1,
    ray: RayOption = False,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
) -> None:
    """Score an archive of transcripts with a published probe, as it would have judged them live.

    Each line says the highest statistic that the threshold judges ("peak"; null
    for an answer that ends before the probe may trip), and the token at which it
    would have tripped. A summary lies beside the output.

    Try it:

    probewatch rescore answers.jsonl --probe magpie-petty --out var/scores.jsonl
    """
    console = Console()
    probes = ProbeStore(store)
    ref = ref_of(probes, probe)
    loaded = _load(model, dtype, device, console)
    scorer = Scorer(loaded, probes.load(ref))
    crew = _crew(processes, over_ray=ray)
    work: Work = partial(map, scorer)
    if crew is not None:
        task = Scoring(source=ModelSource.of(loaded), store=store.absolute(), ref=scorer.ref)
        work = partial(crew.work, task)
    tally = rescore_archive(
        archive, out, scorer=scorer, work=work, resume=resume, skip_bad=skip_bad, console=console
    )
    summary = out.with_name(f"{out.name}.summary.json")
    facts = {"probe": str(scorer.ref), "fingerprint": loaded.spec.fingerprint}
    figures = facts | {"archive": archive.name} | tally.as_json()
    summary.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    console.print(_told(tally), highlight=False, markup=False)
    console.print(f"scores in {out}, summary in {summary}", highlight=False)


def _told(tally: Tally) -> str:
    """The summary in words."""
    lines = [
        f"{tally.scored:,} transcripts scored, {tally.tripped:,} would have tripped: {tally.rate}",
        f"{tally.too_short:,} end before the probe may trip",
        f"{tally.skipped:,} lines could not be scored and were left out",
    ]
    return "\n".join([*lines, *(f"  {problem}" for problem in tally.problems)])


def _sets(purpose: Purpose, model: str, data: list[str], seed: int) -> list[Dataset]:
    """What `sweep` or `train` would read."""
    if purpose is Purpose.SWEEP:
        return [fitting_set(model, data, seed=seed)]
    sets = sets_for(model, data=data, seed=seed)
    return [sets.fit, sets.calibration, *sets.tests]


def _crew(count: int, *, over_ray: bool) -> Crew | None:
    """Who works; None for this process alone."""
    if over_ray:
        return OverRay(count)
    return Processes(count) if count > 1 else None


def _load(model: str, dtype: str, device: str, console: Console) -> LoadedModel:
    with console.status(f"loading {model}"):
        return load_model(model, dtype=dtype, device=device)
