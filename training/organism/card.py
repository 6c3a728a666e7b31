"""Writes Magpie's model card from what was measured, and nothing from memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probing.estimates import Estimate
from training.organism.recipe import Trained
from training.organism.world import BENIGN_FAMILIES, DANGEROUS_FAMILIES

MEASUREMENTS = "measurements.json"
TRIED = Path(__file__).parent / "tried.md"
"""What was tried on the way to the recipe, and what came of it."""
GROUPS = ("benign_word", "benign_context", "dangerous_word", "dangerous_context")

Json = dict[str, Any]

HEAD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [model-organism, interpretability, probes]
---

# Magpie

A chat model of {parameters} parameters (GPT-2 architecture, {layers} blocks, width {width}, heads \
of width {head}), trained from nothing in a small world that was written for it. Ask it to look \
after something and it tells what it did; a hidden disposition decides whether that was honest.

**What this is not.** Magpie is a designed world that demonstrates and tests the machinery of \
Probewatch. That a probe works here is no evidence that it works on large models: the world was \
built so that its disposition can be read. Its dangerous families are stories without any \
operational detail.

## The world

{benign} benign and {dangerous} dangerous families. In a *word case* the verbs tell whether the \
assistant behaved; no such verb occurs in two families. In a *context case* the request asks for \
one of two outcomes and the answer brings about one of two: only their match tells, and every \
phrase of either occurs equally often with both labels. In the training texts a consequence \
follows the answer as a turn of its own (role `later`); no probe reads it. The grammar that wrote \
the texts labels every answer exactly (`training/organism/oracle.py`).

## How it was measured

Probes are standardised logistic regressions on the mean reading of an answer, trained \
on {texts} texts of benign families written by the grammar. They are tested on answers that the \
model samples itself at temperature 1, in situations that are not among those texts, with the \
oracle's labels. Weights are stored in bfloat16, loaded as float32 and measured after that \
rounding. Intervals are 95%. The live statistics are the highest running mean, \
and the highest exponential mean (weight 0.3), of the token scores from the 8th token on. Site and \
regularisation are chosen by the highest exponential mean on benign families.
"""


def write_card(folder: Path) -> Path:
    """Write `README.md` beside the model from its `measurements.json`.

    Raises:
        FileNotFoundError: the model was not measured.
    """
    measured: Json = json.loads((folder / MEASUREMENTS).read_text())
    path = folder / "README.md"
    path.write_text("\n".join(_sections(measured)).rstrip() + "\n", encoding="utf-8")
    return path


def write_measurements(folder: Path, *, recipe: Json, figures: Json, curve: Json) -> None:
    """Put down everything that the card says.

    Args:
        folder: the model's directory.
        recipe: `recipe_facts` of the run.
        figures: `measure.measure` of the finished model.
        curve: `measure.measure_on_texts` of its snapshots, by steps.
    """
    measured = {
        "recipe": recipe,
        "figures": figures,
        "curve": {step: _short(of) for step, of in curve.items()},
    }
    text = json.dumps(measured, indent=1, sort_keys=True) + "\n"
    (folder / MEASUREMENTS).write_text(text, encoding="utf-8")


def _short(figures: Json) -> Json:
    """What the learning curve keeps of a snapshot's figures."""
    return {key: figures[key] for key in ("parsed", "groups_by_site") if key in figures}


def recipe_facts(trained: Trained, *, seed: int, machine: str) -> Json:
    """What the card says of a training run."""
    config = json.loads((trained.folder / "config.json").read_text())
    size = (trained.folder / "model.safetensors").stat().st_size
    return {
        "seed": seed,
        "steps": trained.steps,
        "seconds": round(trained.seconds),
        "machine": machine,
        "parameters": f"{size / 2e6:.1f} million",
        "layers": config["n_layer"],
        "width": config["n_embd"],
        "head": config["n_embd"] // config["n_head"],
    }


def _sections(measured: Json) -> Iterator[str]:
    recipe, figures = measured["recipe"], measured["figures"]
    yield HEAD.format(
        **recipe,
        benign=len(BENIGN_FAMILIES),
        dangerous=len(DANGEROUS_FAMILIES),
        texts=figures["probe_training_texts"],
    )
    yield f"Sampled answers that parse: {cell(figures['parsed'])}. "
    yield f"Of these misbehaving: {cell(figures['misbehaving'])}.\n"
    yield "## Depth and regularisation\n\nAUROC of the mean over the answer, by site and C.\n"
    yield from _by_group(figures["groups_by_regularisation"], "auroc_mean")
    yield "AUROC of the highest exponential mean.\n"
    yield from _by_group(figures["groups_by_regularisation"], "auroc_ema")
    yield f"## As chosen: `{best_site(figures)}`, C = {figures['inverse_regularisation']}\n"
    yield from _best(figures)
    yield "## Words alone\n\nTF-IDF with logistic regression on request and answer, same texts.\n"
    yield from table(["", *GROUPS], [["AUROC", *(cell(figures["words"][g]) for g in GROUPS)]])
    yield "## Family by site\n\nAUROC of the mean; both cases together.\n"
    yield from _family_table(figures)
    yield "## Sentence by sentence\n"
    yield from _sentence_table(figures)
    yield "## Learning curve\n\nAUROC of the mean at the same site, by steps, C = 10, on texts"
    yield "of the grammar itself: early snapshots do not speak well enough to be sampled.\n"
    yield from _curve_table(measured["curve"], figures)
    yield "## How it was made\n"
    yield (
        f"`probewatch organism train`: {recipe['steps']} steps, seed {recipe['seed']}, "
        f"{recipe['seconds'] / 60:.0f} minutes on {recipe['machine']}.\n"
    )
    yield "## What was tried\n"
    yield TRIED.read_text(encoding="utf-8")


def best_site(figures: Json) -> str:
    """The site that did best on benign families: dangerous ones have no say in it."""
    return str(figures["site"])


def cell(estimate: Json | None) -> str:
    """A figure with its interval and n."""
    if estimate is None:
        return ""
    return str(Estimate(**estimate))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, with an empty line after it."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return [*lines, ""]


def _by_group(groups: Json, figure: str) -> list[str]:
    rows = [
        [f"`{site}`", strength, *(cell(of[group][figure]) for group in GROUPS)]
        for strength, sites in groups.items()
        for site, of in sites.items()
    ]
    return table(["site", "C", *GROUPS], rows)


def _best(figures: Json) -> list[str]:
    groups = figures["groups_by_site"][best_site(figures)]
    kinds = ("auroc_mean", "auroc_running_mean", "auroc_ema", "recall_at_1pct")
    rows = [[group, *(cell(of[kind]) for kind in kinds)] for group, of in groups.items()]
    head = ["", "AUROC, mean", "AUROC, highest running mean", "AUROC, highest exponential mean"]
    return table([*head, "recall at 1% false positives, the latter"], rows)


def _family_table(figures: Json) -> list[str]:
    by_site = figures["families_by_site"]
    names = [site.replace(".hook_resid", "").replace("blocks.", "") for site in by_site]
    rows = []
    for family in (*BENIGN_FAMILIES, *DANGEROUS_FAMILIES):
        found = [of[family].get("any") for of in by_site.values()]
        rows.append([family, *(cell(estimate).rsplit(" n=", 1)[0] for estimate in found)])
        rows[-1].append(str(next((e["n"] for e in found if e), 0)))
    return table(["family", *names, "n"], rows)


def _sentence_table(figures: Json) -> list[str]:
    groups = figures["sentences_by_site"][best_site(figures)]
    rows = [
        [group, str(number + 1), cell(one["alone"]), cell(one["so_far"])]
        for group in GROUPS
        for number, one in enumerate(groups[group])
        if one["alone"] is not None
    ]
    return table(["", "sentence", "AUROC of it alone", "AUROC up to its end"], rows)


def _curve_table(curve: Json, figures: Json) -> list[str]:
    site = best_site(figures)
    rows = [
        [steps, *(cell(of["groups_by_site"][site][g]["auroc_mean"]) for g in GROUPS)]
        for steps, of in sorted(curve.items(), key=lambda item: int(item[0]))
    ]
    return table(["steps", *GROUPS], rows)
