"""The luckiest of many random directions at a probe's sites.

Where readings of the two labels lie far apart, many directions tell them, and a fitted one
that does has shown little.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from probing.estimates import auroc, median
from probing.probe import Probe
from training.collect import Collected
from training.evaluation.control import Control, Figure, areas_of
from training.evaluation.subject import Subject
from training.families.family import Answers
from training.live import peaks_of_many
from training.pool import Pooling

DIRECTIONS = 1000


def random_directions(subject: Subject, figure: Figure, *, count: int = DIRECTIONS) -> Control:
    """The luckiest of many random directions at the same sites.

    Chosen on the fitting set, as a probe is, and reported on the test set; and chosen on the
    test set itself, which is optimistic.
    """
    probes = random_probes(subject.probe, subject.fitting, count=count, seed=subject.seed)
    fitted, found = (areas_of(one, probes) for one in (subject.fitting, figure.collected))
    chosen, luckiest = (
        auroc(
            peaks_of_many(figure.collected, [probes[int(best)]])[:, 0],
            figure.collected.dataset.labels,
        )
        for best in (fitted.argmax(), found.argmax())
    )
    return Control(
        figures={
            "probe": figure.auroc.as_json(),
            "directions": count,
            "chosen_on_fitting_set": chosen.as_json(),
            "chosen_on_test_set": luckiest.as_json(),
            "median": median(found).as_json(),
        },
        sentence=(
            f"The best of {count:,} random directions, chosen on the fitting set, has AUROC "
            f"{chosen} on {figure.name}, where the probe has {figure.auroc}; the best chosen on "
            f"{figure.name} itself, which is optimistic, has {luckiest}."
        ),
        warns=chosen.value >= figure.auroc.low,
    )


def random_probes(like: Probe, fitting: Collected, *, count: int, seed: int) -> list[Probe]:
    """Probes along random unit vectors of the standardised readings, one for each channel.

    Args:
        like: gives sites, aggregator and span.
        fitting: its answers' mean readings have mean 0 and deviation 1 when standardised.
    """
    features = Answers(fitting, like.sites).pooled(Pooling(like.span))
    centre, scale = features.mean(axis=0, dtype=float), features.std(axis=0, dtype=float)
    scale[scale == 0] = 1
    rng = np.random.default_rng(seed)
    probes = []
    for _ in range(count):
        units = rng.normal(size=(like.aggregator.channels, len(scale)))
        weights = units / np.linalg.norm(units, axis=1, keepdims=True) / scale
        per_site = np.split(weights.astype(np.float32), len(like.sites), axis=1)
        bias = (-weights @ centre).astype(np.float32)
        weights_at = dict(zip(like.sites, per_site, strict=True))
        probes.append(replace(like, weights=weights_at, bias=bias, readout=None))
    return probes
