"""Family 8: fitting all layers at all strengths of the penalty, against loops of scikit-learn.

The plain loop is its scaler and its regression, one fit after the other, with as many
iterations as they need and as many threads as they take. A tuned loop does the layers
side by side, one thread each, as ours does, which is how a sweep fits. All get the same
readings, in single precision as they are stored. The readings are drawn: their variances
fall off along random axes, as those of real models do, and their labels cannot be told
apart without error. A round is two layers; eight rounds meet each of twelve at least once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench.contest import Contest, Sides
from bench.rows import AGAIN, Figures, Row, Samples, column, paired
from training.families.logistic_path import find_path

FAMILY = "fitting all layers at all strengths"
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
TARGET = 0.2
"""Time against the loop's: five times as fast."""
POINTS = 0.2
"""Percentage points by which held-out accuracies may differ."""
HELD_OUT = 5000
TOGETHER = 2
"""Layers of a round."""
ITERATIONS = 1000
DECAY, STEEPNESS = 0.7, 4.0
"""Of the standard deviations along the axes; of the logits that labels are drawn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is fitted."""

    layers: int
    """Sets of readings."""
    readings: int
    """Of each layer."""
    width: int
    """Of a reading."""
    rounds: int
    """Pairs that are kept."""
    seconds: float
    """Expected length."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Labelled readings to fit on and to hold out."""

    readings: Float[NDArray[np.float32], "readings width"]
    """To fit on."""
    labels: Int[NDArray[np.int64], " readings"]
    """Of these."""
    held_out: Float[NDArray[np.float32], "held_out width"]
    """To measure accuracy on."""
    truth: Int[NDArray[np.int64], " held_out"]
    """Of these."""


Fitted = list[Any]
"""One estimator for each of `STRENGTHS`."""
FitAll = Callable[[Sequence[Layer]], Iterable[Fitted]]
"""Fits every layer."""


def contest(plan: Plan) -> Contest:
    """Ours, the plain loop, the tuned one, and ours again."""
    return Contest(
        name=f"fitting, {plan.layers} layers of {plan.readings:,} readings",
        prepare=partial(_prepare, plan),
        rows=partial(_rows, plan),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def _prepare(plan: Plan, stack: ExitStack) -> Sides:
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore", ConvergenceWarning)
    drawn = lru_cache(maxsize=TOGETHER)(partial(_drawn, plan.readings, plan.width))
    fits: dict[str, FitAll] = {
        "path": partial(_side_by_side, _path),
        "loop": partial(map, _loop),
        "tuned": partial(_side_by_side, _loop),
        "path again": partial(_side_by_side, _path),
    }
    return {side: partial(_measure, fit, drawn, _turns(plan.layers)) for side, fit in fits.items()}


def _turns(layers: int) -> Iterator[list[int]]:
    """The layers of each round."""
    for turn in count():
        yield [(turn * TOGETHER + i) % layers for i in range(TOGETHER)]


def _measure(fit: FitAll, drawn: Callable[[int], Layer], turns: Iterator[list[int]]) -> Figures:
    layers = [drawn(number) for number in next(turns)]
    began = perf_counter()
    fitted = list(fit(layers))
    seconds = perf_counter() - began
    accuracies = {
        f"accuracy {place}, C={strength:g}": float(estimator.score(layer.held_out, layer.truth))
        for place, (layer, estimators) in enumerate(zip(layers, fitted, strict=True))
        for strength, estimator in zip(STRENGTHS, estimators, strict=True)
    }
    return {"seconds": seconds / len(layers), **accuracies}


def _side_by_side(fit: Callable[[Layer], Fitted], layers: Sequence[Layer]) -> list[Fitted]:
    with threadpool_limits(1), Parallel(os.cpu_count(), prefer="threads") as parallel:
        fitted: list[Fitted] = parallel(delayed(fit)(layer) for layer in layers)
    return fitted


def _path(layer: Layer) -> Fitted:
    return [plane.estimator for plane in find_path(layer.readings, layer.labels, STRENGTHS)]


def _loop(layer: Layer) -> Fitted:
    pipelines = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=ITERATIONS))
        for strength in STRENGTHS
    ]
    return [pipeline.fit(layer.readings, layer.labels) for pipeline in pipelines]


def _drawn(readings: int, width: int, number: int) -> Layer:
    rng = np.random.default_rng(number)
    along = rng.normal(size=(readings + HELD_OUT, width))
    axes = np.linalg.qr(rng.normal(size=(width, width)))[0]
    logits = along @ rng.normal(0, STEEPNESS / np.sqrt(width), width)
    labels = (rng.random(len(along)) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    found = (along * np.arange(1, width + 1) ** -DECAY @ axes).astype(np.float32)
    return Layer(found[:readings], labels[:readings], found[readings:], labels[readings:])


def _rows(plan: Plan, samples: Samples) -> list[Row]:
    name = f"{plan.layers} layers, {len(STRENGTHS)} strengths, {plan.readings:,} of {plan.width}"

    def row(label: str, other: str, target: float | None, note: str) -> Row:
        ours, theirs = column(samples, "path", "seconds"), column(samples, other, "seconds")
        return paired(label, ours, theirs, family=FAMILY, unit="s", target=target, note=note)

    ours, other = _furthest_apart(samples)
    apart = paired(
        f"{name}, largest difference of held-out accuracy",
        [100 * abs(ours - other)],
        [POINTS],
        family=FAMILY,
        unit="points",
        target=1.0,
        note=f"against what is allowed; {ours:.2%} and {other:.2%} of {HELD_OUT:,} held out",
    )
    return [
        row(f"{name}, a loop", "loop", TARGET, "a layer, all its strengths, scaler and all"),
        row(f"{name}, a tuned loop", "tuned", None, "layers side by side, one thread each"),
        apart,
        row(f"{AGAIN} {name}", "path again", None, "identical code on both sides"),
    ]


def _furthest_apart(samples: Samples) -> tuple[float, float]:
    """The accuracies, ours and the loop's, that differ most over all rounds and strengths."""
    pairs = [
        (ours[name], other[name])
        for ours, other in zip(samples["path"], samples["loop"], strict=True)
        for name in ours
        if name.startswith("accuracy")
    ]
    return max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
