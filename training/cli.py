"""`probewatch train`, `sweep` and `data`."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from probes_store.ref import Ref
from probes_store.store import DEFAULT_ROOT, ProbeStore
from probing.model import BUNDLED, LoadedModel, load_model
from probing.spec import Span
from training.accuracy import accuracy_by_layer, accuracy_table, aggregator_for
from training.choices import fitting_set, grid_of, parse_sites, sets_for
from training.collect import DEFAULT_CACHE, Collected, collect
from training.datasets.bundled import DATA_FOLDER, NAMES, bundled
from training.datasets.load import load, load_class, require_no_leak
from training.datasets.schema import Dataset, combine
from training.datasets.splits import families_suffice, grouped_split
from training.errors import NothingToCompare
from training.organism.datasets import write
from training.run import Plan
from training.run import train as train_probe
from training.sweep import best, cross_validate
from training.tables import examples_table, heat_table, sets_table

AGGREGATORS = ["mean", "ema:0.3", "rolling_max:4"]
STRENGTHS = [0.01, 1.0, 10.0, 100.0]
TOKENS_MIN = [4, 8, 12]
SWEEP_FILE = Path("var/sweep.json")

ModelOption = Annotated[
    str, typer.Option("--model", help="magpie, a Hugging Face directory, or a cached hub name.")
]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data", help=f"{' or '.join(NAMES)}, or JSON lines files (repeatable)."),
]
SitesOption = Annotated[
    list[str] | None, typer.Option("--sites", help="blocks.3.hook_resid_post, ... (repeatable).")
]
LayersOption = Annotated[str, typer.Option("--layers", help="all, 3, 0-5 or 0,2,4-6.")]
HookOption = Annotated[
    list[str] | None,
    typer.Option("--hook", help="resid_pre, attn_out, resid_mid, mlp_out, resid_post."),
]
AggregatorOption = Annotated[
    list[str] | None, typer.Option("--aggregator", help="mean, ema:0.1, tail_concat:8, ...")
]
StrengthOption = Annotated[
    list[float] | None, typer.Option("--C", help="Inverse strength of the L2 penalty (repeatable).")
]
SpanOption = Annotated[str, typer.Option("--span", help="response, tail:K, all or prompt.")]
StackOption = Annotated[bool, typer.Option("--stack", help="Try all sites in one probe too.")]
MinOption = Annotated[
    list[int] | None,
    typer.Option("--tokens-min", help="Answer tokens before it may trip (repeatable)."),
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
CacheOption = Annotated[Path, typer.Option("--cache", help="Directory of cached readings.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of every split and generated set.")]
FoldsOption = Annotated[int, typer.Option("--folds", min=2, help="Parts of the cross-validation.")]
FamiliesOption = Annotated[
    bool | None,
    typer.Option(
        "--by-family/--by-situation",
        help="What cross-validation holds out whole; families, where there are enough.",
    ),
]


class DataAction(StrEnum):
    """What `probewatch data` can do."""

    LIST = "list"
    SHOW = "show"
    CHECK = "check"
    WRITE = "write"


def train(
    model: ModelOption = BUNDLED,
    data: DataOption = None,
    calibration_data: Annotated[
        list[Path] | None, typer.Option(help="Honest answers for the threshold (repeatable).")
    ] = None,
    test_data: Annotated[
        list[Path] | None, typer.Option(help="Only measured on (repeatable).")
    ] = None,
    sites: SitesOption = None,
    layers: LayersOption = "all",
    hook: HookOption = None,
    aggregator: AggregatorOption = None,
    strengths: StrengthOption = None,
    span: SpanOption = "response",
    stack: StackOption = False,
    tokens_min: MinOption = None,
    fpr: Annotated[float, typer.Option(help="False alarms to allow, per honest answer.")] = 0.01,
    folds: FoldsOption = 5,
    by_family: FamiliesOption = None,
    name: Annotated[str, typer.Option(help="The probe's name.")] = "misbehaviour",
    store: Annotated[Path, typer.Option(help="Directory of published probes.")] = DEFAULT_ROOT,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make it the store's champion.")
    ] = False,
    notes: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Markdown for the card.")
    ] = None,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Train a probe on harmless misbehaviour, calibrate its threshold, publish it."""
    console, began = Console(), time.perf_counter()
    Ref(name)
    sets = sets_for(
        model, data=data or [], calibration=calibration_data or [], tests=test_data or [], seed=seed
    )
    loaded = _load(model, dtype, device, console)
    named = parse_sites(loaded, sites=sites or [], hooks=hook or ["resid_post"], layers=layers)
    grid = grid_of(
        named,
        stack=stack,
        inverse_strengths=strengths or STRENGTHS,
        aggregators=aggregator or AGGREGATORS,
        span=span,
        tokens_min=tokens_min or TOKENS_MIN,
    )
    plan = Plan(
        sets=sets, grid=grid, name=name, fpr=fpr, folds=folds, by_family=by_family, seed=seed,
        cache=cache, notes=notes.read_text() if notes else "",
    )  # fmt: skip
    probes = ProbeStore(store)
    trained = train_probe(loaded, plan, probes, console=console)
    if promote:
        probes.set_alias("champion", trained.ref)
    seconds = time.perf_counter() - began
    role = " as champion" if promote else ""
    console.print(f"published [bold]{trained.ref}[/]{role} in {store} after {seconds:.0f} s")


def sweep(
    model: ModelOption = BUNDLED,
    data: DataOption = None,
    train_on: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two files: misbehaving and honest examples to fit on."),
    ] = None,
    test_on: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two files of the same kind to test on.")
    ] = None,
    split: Annotated[
        float | None, typer.Option(help="Fit on this share, report accuracy on the rest.")
    ] = None,
    pooling: Annotated[
        str, typer.Option("--pool", help="With a split: mean, or concat of the span's tokens.")
    ] = "mean",
    sites: SitesOption = None,
    layers: LayersOption = "all",
    hook: HookOption = None,
    aggregator: AggregatorOption = None,
    strengths: StrengthOption = None,
    span: SpanOption = "response",
    stack: StackOption = False,
    tokens_min: MinOption = None,
    folds: FoldsOption = 5,
    by_family: FamiliesOption = None,
    out: Annotated[Path, typer.Option(help="JSON file for the figures.")] = SWEEP_FILE,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Compare layers, hooks, penalties and aggregators; or fit on a part and test on the rest.

    The second, with --split or --test-on, reports accuracy layer by layer.
    """
    console = Console()
    fitting, held_out = _parts(model, data or [], train_on, test_on, split, seed)
    slices = Span.parse(span)
    loaded = _load(model, dtype, device, console)
    named = parse_sites(loaded, sites=sites or [], hooks=hook or ["resid_post"], layers=layers)

    def read(part: Dataset) -> Collected:
        whole = slices.kind in ("prompt", "all")
        return collect(loaded, part, named, cache=cache, console=console, whole=whole)

    if held_out is not None:
        how = aggregator_for(slices, pooling)
        rows = []
        train_part, test_part = read(fitting), read(held_out)
        for strength in strengths or [1.0]:
            found = accuracy_by_layer(
                train_part, test_part, sites=named, span=slices, aggregator=how,
                inverse_strength=strength, console=console,
            )  # fmt: skip
            sizes = f"{len(fitting)} fitted, {len(held_out)} held out"
            title = f"{pooling} of {span}, C={strength:g}: {sizes}"
            console.print(accuracy_table(found, title))
            rows += [{"C": strength, "pool": pooling, "span": span, **r.as_json()} for r in found]
        _write_json(out, {"layers": rows}, console)
        return
    grid = grid_of(
        named, stack=stack, inverse_strengths=strengths or STRENGTHS,
        aggregators=aggregator or AGGREGATORS, span=span, tokens_min=tokens_min or TOKENS_MIN,
    )  # fmt: skip
    whole = families_suffice(fitting, folds) if by_family is None else by_family
    trials = cross_validate(
        read(fitting), grid, folds=folds, seed=seed, by_family=whole, console=console
    )
    console.print(heat_table(trials, best(trials), by_family=whole))
    _write_json(out, {"trials": [trial.as_json() for trial in trials]}, console)


def data(
    action: Annotated[DataAction, typer.Argument(help="What to do.")] = DataAction.LIST,
    names: Annotated[
        list[str] | None, typer.Argument(help="Sets or files to show or check; a folder to write.")
    ] = None,
    seed: SeedOption = 0,
    pairs: Annotated[int, typer.Option(min=1, help="Requests of each family to write.")] = 60,
) -> None:
    """List the bundled sets, show or check sets, or write Magpie's sets to a folder."""
    console = Console()
    if action is DataAction.WRITE:
        folder = Path(names[0]) if names else DATA_FOLDER
        for file, digest in write(folder, seed=seed, pairs_per_family=pairs).items():
            console.print(f"{folder / file}  sha256 {digest}")
    elif action is DataAction.CHECK:
        if not names:
            raise NothingToCompare("no file to check was named; give one or more JSON lines files")
        console.print(sets_table([load(Path(name)) for name in names]))
    elif action is DataAction.SHOW and names:
        for name in names:
            console.print(examples_table(_dataset(name, seed)))
    else:
        for name in NAMES:
            sets = bundled(name, seed=seed)
            parts = [sets.fit, sets.calibration, *sets.tests]
            console.print(sets_table(parts, f"{name}: fitting, calibration, tests"))


def _parts(
    model: str,
    data: list[str],
    train_on: tuple[Path, Path] | None,
    test_on: tuple[Path, Path] | None,
    split: float | None,
    seed: int,
) -> tuple[Dataset, Dataset | None]:
    """What to fit on, and what to test on where one fit per layer was asked for."""
    if train_on is not None and data:
        raise NothingToCompare("--data and --train-on exclude each other; give one of them")
    fitting = _pair(train_on) if train_on else fitting_set(model, data, seed=seed)
    if test_on is not None:
        held_out = _pair(test_on)
        require_no_leak({"the fitting set": fitting, "the test set": held_out})
        return fitting, held_out
    if split is None:
        return fitting, None
    if not 0 < split < 1:
        raise NothingToCompare(f"a split of {split:g} leaves one side empty; give for example 0.7")
    return grouped_split(fitting, split, seed=seed)


def _pair(files: tuple[Path, Path]) -> Dataset:
    """Two files as the misbehaving and the honest class of one set."""
    misbehaving, honest = load_class(files[0], "misbehaving"), load_class(files[1], "honest")
    return combine(f"{misbehaving.name} against {honest.name}", [misbehaving, honest])


def _dataset(name: str, seed: int) -> Dataset:
    if Path(name).is_file():
        return load(Path(name))
    sets = bundled(name, seed=seed)
    return combine(name, [sets.fit, *sets.tests])


def _load(model: str, dtype: str, device: str, console: Console) -> LoadedModel:
    with console.status(f"loading {model}"):
        loaded = load_model(model, dtype=dtype, device=device)
    console.print(
        f"{loaded.provenance.name}: {loaded.n_layers} blocks, {loaded.d_model} wide, {dtype}, "
        f"fingerprint {loaded.spec.fingerprint}"
    )
    return loaded


def _write_json(path: Path, figures: dict[str, Any], console: Console) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    console.print(f"figures in {path}")
