"""`probewatch experiment NAME`: the experiments that this field grew from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probing.model import BUNDLED, load_model
from training.choices import parse_sites
from training.collect import DEFAULT_CACHE
from training.datasets.schema import Dataset
from training.experiments import sets, tagging, verdicts
from training.experiments.helpfulness import helpfulness as measure_helpfulness
from training.experiments.known_inside import known_inside as measure_known_inside
from training.experiments.parts_of_speech import parts_of_speech as measure_parts_of_speech
from training.experiments.study import Outcome, Study
from training.experiments.transfer import transfer as measure_transfer
from training.options import (
    DATA,
    GRID,
    PAIR,
    CacheOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    LayersOption,
    ModelOption,
    OutOption,
    SeedOption,
    TestOnOption,
    TrainOnOption,
)
from training.sweep import require_strengths

OUT = Path("var/experiments")
FOLDS = 5
STRENGTH = 0.1
SITUATIONS = 300

StrengthOption = Annotated[
    float, typer.Option("--C", help="Inverse strength of the L2 penalty.", rich_help_panel=GRID)
]
FoldsOption = Annotated[
    int, typer.Option("--folds", min=2, help="Parts that are held out.", rich_help_panel=GRID)
]
SituationsOption = Annotated[
    int,
    typer.Option(
        "--situations", min=2, help="To read of a set, where it has more.", rich_help_panel=DATA
    ),
]
StatementsOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--statements",
        help=f"Instead of remarks, false and true statements: {PAIR}",
        rich_help_panel=DATA,
    ),
]


def helpfulness(
    model: ModelOption = BUNDLED,
    layers: LayersOption = "all",
    data: DataOption = None,
    situations: SituationsOption = SITUATIONS,
    strength: StrengthOption = STRENGTH,
    folds: FoldsOption = FOLDS,
    out: OutOption = OUT / "helpfulness.json",
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Where is it readable that a reply does not help: attention, MLP and residual, by layer.

    Expected: early where words tell, later where request and reply have to be
    compared, and in the residual stream no worse than in what is added to it.

    Try it:

    probewatch experiment helpfulness --model gpt2
    """
    console = _begin(out, strength)
    dataset = sets.helpful(model, data or [], situations=situations, seed=seed)
    study = _study(model, layers, folds, strength, seed, cache, dtype, device, console)
    _end(measure_helpfulness(study, dataset), study, out, dataset)


def transfer(
    model: ModelOption = BUNDLED,
    layers: LayersOption = "all",
    train_on: TrainOnOption = None,
    test_on: TestOnOption = None,
    situations: SituationsOption = SITUATIONS,
    strength: StrengthOption = STRENGTH,
    folds: FoldsOption = FOLDS,
    out: OutOption = OUT / "transfer.json",
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Fit on one pair of sets and judge on another, both ways, beside each within itself.

    Without --train-on and --test-on the sets are the harmless and the dangerous
    families. Expected: across is below within, least so in the middle layers.

    Try it:

    probewatch experiment transfer --model gpt2 --train-on bad good --test-on bad2 good2
    """
    console = _begin(out, strength)
    first, second = sets.two_sets(model, train_on, test_on, situations=situations, seed=seed)
    study = _study(model, layers, folds, strength, seed, cache, dtype, device, console)
    _end(measure_transfer(study, first, second), study, out, first, second)


def parts_of_speech(
    model: ModelOption = BUNDLED,
    layers: LayersOption = "all",
    situations: SituationsOption = SITUATIONS // 3,
    strength: StrengthOption = STRENGTH,
    folds: FoldsOption = FOLDS,
    out: OutOption = OUT / "parts-of-speech.json",
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Probe each word's part of speech, linear and with a network, beside a control task.

    Expected: linear and early; the network learns the random tags of the control
    task better, so it is less selective; on new words those are at chance.

    Try it:

    probewatch experiment parts-of-speech --model gpt2 --layers 0-5
    """
    console = _begin(out, strength)
    if model == BUNDLED:
        tagged = tagging.magpie(sets.magpie_matches(situations=situations, seed=seed))
    else:
        tagged = tagging.natural()
    study = _study(model, layers, folds, strength, seed, cache, dtype, device, console)
    _end(measure_parts_of_speech(study, tagged), study, out, tagged.dataset)


def known_inside(
    model: ModelOption = BUNDLED,
    layers: LayersOption = "all",
    statements: StatementsOption = None,
    situations: SituationsOption = SITUATIONS,
    strength: StrengthOption = STRENGTH,
    folds: FoldsOption = FOLDS,
    out: OutOption = OUT / "known-inside.json",
    dtype: DtypeOption = "float32",
    device: DeviceOption = "cpu",
    cache: CacheOption = DEFAULT_CACHE,
    seed: SeedOption = 0,
) -> None:
    """Compare what a probe reads inside with what the model's own answer says.

    Real models are asked whether a remark was meant, or with --statements whether
    it is true; Magpie foresees what comes of its act. Expected: a probe in the
    middle layers is right more often than the answer, unless the model learnt it.

    Try it:

    probewatch experiment known-inside --model gpt2 --statements false.txt true.txt
    """
    console = _begin(out, strength)
    asking = model != BUNDLED or statements is not None
    question = verdicts.IS_TRUE if statements else verdicts.MEANT_IT
    if statements:
        dataset = sets.thinned(sets.statements(*statements), situations, seed=seed)
    elif asking:
        dataset = sets.remarks()
    else:
        dataset = sets.magpie_matches(situations=situations, seed=seed)
    study = _study(model, layers, folds, strength, seed, cache, dtype, device, console)
    if asking:
        closed = verdicts.questioned(study.loaded, dataset, question)
    else:
        closed = verdicts.foreseen(study.loaded, dataset, seed=seed)
    _end(measure_known_inside(study, dataset, closed), study, out, dataset)


def _begin(out: Path, strength: float) -> Console:
    """Refuse what cannot work before anything is read."""
    require_strengths([strength])
    out.parent.mkdir(parents=True, exist_ok=True)
    return Console()


def _study(
    model: str,
    layers: str,
    folds: int,
    strength: float,
    seed: int,
    cache: Path,
    dtype: str,
    device: str,
    console: Console,
) -> Study:
    with console.status(f"loading {model}"):
        loaded = load_model(model, dtype=dtype, device=device)
    behind = parse_sites(loaded, sites=(), hooks=("resid_post",), layers=layers)
    return Study(
        loaded=loaded,
        layers=tuple(site.layer for site in behind),
        folds=folds,
        strength=strength,
        seed=seed,
        cache=cache,
        console=console,
    )


def _end(outcome: Outcome, study: Study, out: Path, *datasets: Dataset) -> None:
    outcome.show(study.console)
    outcome.write(out, study.settings(*datasets))
    study.console.print(f"figures in {out}")
