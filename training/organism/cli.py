"""`probewatch organism`: make the bundled model again, and measure one."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from probing.model import BUNDLED_PATH
from training.organism import card, recipe
from training.organism import measure as measuring

CURVE_POINTS = 8
"""Snapshots on the way that the learning curve is measured on."""


def train(
    out: Annotated[Path, typer.Option(help="Where the model goes.")] = Path("var/magpie"),
    seed: Annotated[int, typer.Option(help="Of weights, tokenizer and corpus.")] = recipe.SEED,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps at most.")] = recipe.STEPS,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = recipe.THREADS,
) -> None:
    """Train a Magpie from scratch, measure it with its learning curve, and write its card.

    About 45 minutes on one core. What carries over from petty to serious matters forms late
    and all at once, so a run with far fewer steps shows nothing.
    """
    points = sorted({max(1, steps * i // CURVE_POINTS) for i in range(1, CURVE_POINTS)})
    trained = recipe.train(
        out, seed=seed, steps=steps, threads=threads, snapshot_steps=tuple(points)
    )
    console = Console()
    with console.status("measuring the model and its snapshots"):
        curve = {
            str(done): measuring.measure_on_texts(folder)
            for done, folder in trained.snapshots.items()
        }
        figures = measuring.measure(out)
        machine = f"{platform.machine()}, threads: {threads}, {recipe.precision()}"
        facts = card.recipe_facts(trained, seed=seed, machine=machine)
        card.write_measurements(out, recipe=facts, figures=figures, curve=curve)
    console.print(f"model and card: {card.write_card(out)}")


def measure(
    model: Annotated[Path, typer.Option(help="The model's directory.")] = BUNDLED_PATH,
    answers: Annotated[int, typer.Option(min=10, help="Sampled answers per family.")] = 100,
) -> None:
    """Measure what a trained organism shows: family by site, sentence by sentence, and words."""
    console = Console()
    with console.status("sampling and judging answers"):
        figures = measuring.measure(model, answers_per_family=answers)
    console.print_json(json.dumps(figures))
