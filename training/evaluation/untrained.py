"""The recipe on a model that has learnt nothing.

What it finds there is in the words and their order, and needs no model that understands
them.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch

from probing.estimates import auroc
from probing.model import LoadedModel, load_model
from training.collect import collect
from training.datasets.schema import Dataset
from training.evaluation.control import Control, ControlUndefined, Figure, situations_of
from training.evaluation.subject import Subject
from training.families.family import Answers, Examples
from training.live import peaks_of_many

READ_MAX = 600
"""Answers to fit on, and to test on, that an untrained model reads: reading is what takes time."""
PARAMETERS_MAX = 2_000_000_000
"""Of a model of which a second one is made."""


def untrained_model(subject: Subject, figure: Figure) -> Control:
    """The recipe on a model of the same shape with random weights.

    What it finds there is in the words and their order, and needs no model that understands
    them. Both are fitted on the same answers, at most `READ_MAX`, whole situations, and
    tested on as many.

    Raises:
        ControlUndefined: there is no model, or it is too large to have a second one.
    """
    twin = untrained(subject.loaded, seed=subject.seed)
    fit = some_situations(subject.fitting.dataset, seed=subject.seed)
    held = some_situations(figure.collected.dataset, seed=subject.seed)
    fitting, answered = (
        collect(
            twin, whole.dataset.select(chosen.tolist()), subject.recipe.sites,
            cache=subject.cache, console=subject.console, whole=subject.recipe.span.reads_prompt,
        )
        for whole, chosen in ((subject.fitting, fit), (figure.collected, held))
    )  # fmt: skip
    recipe = replace(subject.recipe, fingerprint=twin.spec.fingerprint)
    blank = recipe.fit(Answers(fitting, recipe.sites), np.arange(len(fit)), seed=subject.seed)
    answers = Answers(subject.fitting, recipe.sites)
    learnt = subject.recipe.fit(answers, fit, seed=subject.seed)
    labels = answered.dataset.labels
    without = auroc(peaks_of_many(answered, [blank])[:, 0], labels)
    trained = auroc(peaks_of_many(figure.collected, [learnt])[held, 0], labels)
    return Control(
        figures={
            "untrained": without.as_json(),
            "trained": trained.as_json(),
            "fitted_on": len(fit),
            "fingerprint": twin.spec.fingerprint,
        },
        sentence=(
            f"On an untrained model of the same shape the recipe reaches AUROC {without} on "
            f"{figure.name}, and {trained} on the model itself, both fitted on {len(fit)} answers."
        ),
        warns=without.value >= trained.low,
    )


def untrained(loaded: LoadedModel, *, seed: int) -> LoadedModel:
    """A model of the same configuration and tokenizer with fresh random weights.

    Raises:
        ControlUndefined: there is no model, or it is too large to have a second one.
    """
    if loaded is None:
        raise ControlUndefined("the model", "none", "name it with --model")
    size = sum(tensor.numel() for tensor in loaded.model.parameters())
    if size > PARAMETERS_MAX:
        raise ControlUndefined(
            f"a model of at most {PARAMETERS_MAX:,} parameters, of which a second one is made",
            f"one of {size:,}",
            "evaluate a smaller model of its kind",
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = type(loaded.model)(deepcopy(loaded.model.config))
    return load_model(
        fresh, tokenizer=loaded.tokenizer, dtype=loaded.spec.dtype, device=str(loaded.device)
    )


def some_situations(dataset: Dataset, *, seed: int) -> Examples:
    """Whole situations at random, of at most `READ_MAX` examples together."""
    groups = situations_of(dataset)
    chosen: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(groups)).tolist():
        if len(chosen) + len(groups[number]) > READ_MAX:
            break
        chosen += groups[number]
    return np.sort(np.array(chosen, dtype=np.intp))
