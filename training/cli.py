"""`probewatch train`, `sweep` and `data`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from probes_store.ref import Ref
from probes_store.store import DEFAULT_ROOT, ProbeStore
from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.model import BUNDLED, LoadedModel, load_model
from probing.spec import Site, Span
from training.accuracy import LayerRow, accuracy_by_layer, accuracy_table, aggregator_for
from training.choices import grid_of, parse_sites, parts_for, require_effect, sets_for
from training.collect import DEFAULT_CACHE, Collected, collect
from training.datasets.bundled import DATA_FOLDER, NAMES, bundled
from training.datasets.load import load
from training.datasets.schema import Dataset, combine
from training.datasets.splits import families_suffice
from training.options import (
    AggregatorOption,
    CacheOption,
    CalibrationOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    FamiliesOption,
    FoldsOption,
    HookOption,
    LayersOption,
    MinOption,
    ModelOption,
    NameOption,
    NotesOption,
    OutOption,
    PoolOption,
    ProbeFamilyOption,
    PromoteOption,
    RateOption,
    SeedOption,
    SitesOption,
    SpanOption,
    SplitOption,
    StackOption,
    StoreOption,
    StrengthOption,
    TestDataOption,
    TestOnOption,
    TrainOnOption,
)
from training.organism.datasets import write
from training.run import Plan
from training.run import train as train_probe
from training.sweep import cross_validate, require_strengths, soonest
from training.tables import examples_table, heat_table, sets_table

FAMILIES = ["logistic_regression"]
AGGREGATORS = ["mean", "ema:0.3", "rolling_max:4"]
STRENGTHS = [0.01, 1.0, 10.0, 100.0]
TOKENS_MIN = [4, 8, 12]
FOLDS = 5
SWEEP_FILE = Path("var/sweep.json")


class DataAction(StrEnum):
    """What `probewatch data` can do."""

    LIST = "list"
    SHOW = "show"
    CHECK = "check"
    WRITE = "write"


def train(
    model: ModelOption = BUNDLED,
    data: DataOption = None,
    calibration_data: CalibrationOption = None,
    test_data: TestDataOption = None,
    sites: SitesOption = None,
    layers: LayersOption = "all",
    hook: HookOption = None,
    probe_family: ProbeFamilyOption = None,
    aggregator: AggregatorOption = None,
    strengths: StrengthOption = None,
    span: SpanOption = "response",
    stack: StackOption = False,
    tokens_min: MinOption = None,
    fpr: RateOption = 0.01,
    folds: FoldsOption = None,
    by_family: FamiliesOption = None,
    name: NameOption = "misbehaviour",
    store: StoreOption = DEFAULT_ROOT,
    promote: PromoteOption = False,
    notes: NotesOption = None,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Train a probe on harmless misbehaviour, calibrate its threshold, publish it.

    Every site, probe family, C, aggregator and --tokens-min is tried by
    cross-validation. Of those within the interval of the highest AUROC, the best
    of the soonest to trip is fitted on everything. "AUROC, live" says how well the
    statistic that the threshold judges, while an answer is written, tells
    misbehaving answers from honest ones.

    Try it:

    probewatch train --model gpt2 --data natural --name petty-gpt2
    """
    console, began = Console(), time.perf_counter()
    Ref(name)
    card_notes = _notes(notes)
    sets = sets_for(
        model, data=data or [], calibration=calibration_data or [], tests=test_data or [], seed=seed
    )
    loaded = _load(model, dtype, device, console)
    named = parse_sites(loaded, sites=sites or [], hooks=hook or ["resid_post"], layers=layers)
    grid = grid_of(
        named,
        stack=stack,
        families=probe_family or FAMILIES,
        inverse_strengths=strengths or STRENGTHS,
        aggregators=aggregator or AGGREGATORS,
        span=span,
        tokens_min=tokens_min or TOKENS_MIN,
    )
    plan = Plan(
        sets=sets, grid=grid, name=name, fpr=fpr, folds=folds or FOLDS, by_family=by_family,
        seed=seed, cache=cache, notes=card_notes,
    )  # fmt: skip
    probes = ProbeStore(store)
    trained = train_probe(loaded, plan, probes, console=console)
    if promote:
        probes.set_alias("champion", trained.ref)
    seconds = time.perf_counter() - began
    console.print(f"published [bold]{trained.ref}[/] in {store} after {seconds:.0f} s")
    if promote:
        console.print(_promoted(trained.ref), soft_wrap=True)


def sweep(
    model: ModelOption = BUNDLED,
    data: DataOption = None,
    train_on: TrainOnOption = None,
    test_on: TestOnOption = None,
    split: SplitOption = None,
    pooling: PoolOption = None,
    sites: SitesOption = None,
    layers: LayersOption = "all",
    hook: HookOption = None,
    probe_family: ProbeFamilyOption = None,
    aggregator: AggregatorOption = None,
    strengths: StrengthOption = None,
    span: SpanOption = "response",
    stack: StackOption = False,
    tokens_min: MinOption = None,
    folds: FoldsOption = None,
    by_family: FamiliesOption = None,
    out: OutOption = SWEEP_FILE,
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Compare sites, probe families, penalties and aggregators; or fit on a part, test on the rest.

    The first, by cross-validation, shows the live AUROC of each. The second,
    with --split or --test-on or both, fits each site once and shows its
    accuracy. "AUROC" is of the logit of the pooled tokens; "AUROC, live" is of
    the highest running statistic, which a threshold would judge while the
    answer is written.

    Try it: one layer's attention output, its last five tokens side by side,

    probewatch sweep --data F --hook attn_out --layers 3 --span tail:5
    --pool concat --split 0.7 --C 1

    or one pair of plain-text files tested on another:

    probewatch sweep --train-on bad good --test-on bad2 good2
    """
    console = Console()
    layerwise = split is not None or test_on is not None
    given = {
        "--probe-family": probe_family is not None,
        "--aggregator": aggregator is not None,
        "--stack": stack,
        "--folds": folds is not None,
        "--by-family": by_family is not None,
        "--tokens-min": tokens_min is not None,
    }
    require_effect(given if layerwise else {"--pool": pooling is not None}, layerwise=layerwise)
    require_strengths(strengths or STRENGTHS)
    slices, how = Span.parse(span), pooling or "mean"
    folded = aggregator_for(slices, how)
    parts = parts_for(model, data or [], train_on=train_on, test_on=test_on, split=split, seed=seed)
    loaded = _load(model, dtype, device, console)
    out.parent.mkdir(parents=True, exist_ok=True)
    named = parse_sites(loaded, sites=sites or [], hooks=hook or ["resid_post"], layers=layers)
    fitting, *tests = [
        collect(loaded, part, named, cache=cache, console=console, whole=slices.reads_prompt)
        for part in (parts.fit, *parts.tests)
    ]
    if tests:
        rows = _by_layer(
            fitting, tests, named, span=slices, pooling=how, aggregator=folded,
            strengths=strengths or [1.0], console=console,
        )  # fmt: skip
        _write_json(out, {"layers": rows}, console)
        return
    grid = grid_of(
        named, stack=stack, families=probe_family or FAMILIES, span=span,
        inverse_strengths=strengths or STRENGTHS, aggregators=aggregator or AGGREGATORS,
        tokens_min=tokens_min or TOKENS_MIN,
    )  # fmt: skip
    parts_count = folds or FOLDS
    apart = families_suffice(parts.fit, parts_count) if by_family is None else by_family
    trials = cross_validate(
        fitting, grid, folds=parts_count, seed=seed, by_family=apart, console=console,
        cache=cache / loaded.spec.fingerprint,
    )  # fmt: skip
    console.print(heat_table(trials, soonest(trials), by_family=apart))
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
        wanted = _named(action, names, "one or more files of JSON lines")
        console.print(sets_table([load(Path(name)) for name in wanted]))
    elif action is DataAction.SHOW:
        for name in _named(action, names, f"{', '.join(NAMES)} or a file of JSON lines"):
            console.print(examples_table(_dataset(name, seed)))
    else:
        for name in NAMES:
            sets = bundled(name, seed=seed)
            parts = [sets.fit, sets.calibration, *sets.tests]
            console.print(sets_table(parts, f"{name}: fitting, calibration, tests"))


def _named(action: DataAction, names: Sequence[str] | None, expected: str) -> Sequence[str]:
    if not names:
        raise InvalidSpecification("names", f"data {action}", f"after it {expected}")
    return names


def _promoted(ref: Ref) -> str:
    """What `--promote` did, and what it did not do."""
    return (
        f"{ref} is the store's champion: an empty database begins with it, and a service whose "
        f"database already has a champion keeps that until `probewatch probes promote {ref}`"
    )


def _by_layer(
    fitting: Collected,
    tests: Sequence[Collected],
    sites: Sequence[Site],
    *,
    span: Span,
    pooling: str,
    aggregator: AggregatorSpec,
    strengths: Sequence[float],
    console: Console,
) -> list[dict[str, Any]]:
    """Each site fitted once at each strength: shown, and as rows for the JSON file."""
    rows = []
    for strength in strengths:
        found = accuracy_by_layer(
            fitting, tests, sites=sites, span=span, aggregator=aggregator,
            inverse_strength=strength, console=console,
        )  # fmt: skip
        settings = {"C": strength, "pool": pooling, "span": str(span)}
        rows += _shown_by_layer(fitting, tests, found, settings, console)
    return rows


def _shown_by_layer(
    fitting: Collected,
    tests: Sequence[Collected],
    found: Sequence[Sequence[LayerRow]],
    settings: dict[str, Any],
    console: Console,
) -> list[dict[str, Any]]:
    """One table for each test set, and all their rows for the JSON file."""
    how = f"{settings['pool']} of {settings['span']}, C={settings['C']:g}"
    rows = []
    for test, own in zip(tests, found, strict=True):
        sizes = f"{len(fitting.dataset)} fitted, {len(test.dataset)} held out"
        console.print(accuracy_table(own, f"{test.dataset.name}: {how}: {sizes}"))
        rows += [settings | {"test": test.dataset.name} | row.as_json() for row in own]
    return rows


def _notes(path: Path | None) -> str:
    """The card's own Markdown.

    Raises:
        InvalidSpecification: it is not UTF-8, or cannot be opened.
    """
    try:
        return path.read_text("utf-8") if path else ""
    except (UnicodeDecodeError, OSError) as error:
        raise InvalidSpecification("notes", str(path), f"Markdown in UTF-8 ({error})") from error


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
    path.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    console.print(f"figures in {path}")
