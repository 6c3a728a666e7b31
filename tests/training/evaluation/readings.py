"""Readings in which a control finds what it is to find; the toy subject's probe fitted on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from probing.prompt import Rendered
from probing.spec import Site
from tests.training.evaluation.examples import toy_subject
from tests.training.examples import SITES
from training.collect import Collected
from training.evaluation.subject import Subject
from training.families.family import Answers

SUBJECT = toy_subject()
WIDE = 128


def with_readings(
    change: Callable[[Collected], Collected], sites: Sequence[Site] = SITES
) -> Subject:
    """The toy subject on other readings, its probe fitted on them."""
    fitting = change(SUBJECT.fitting)
    recipe = replace(SUBJECT.recipe, sites=tuple(sites))
    probe = recipe.fit(Answers(fitting, sites), np.arange(len(fitting.dataset)))
    tests = tuple(map(change, SUBJECT.tests))
    return replace(SUBJECT, fitting=fitting, recipe=recipe, probe=probe, tests=tests)


def without_signal(one: Collected) -> Collected:
    """Noise alone."""
    rng = np.random.default_rng(len(one.dataset.name))
    noise = tuple(rng.normal(size=s.shape).astype(np.float32) for s in one.shards)
    return replace(one, shards=noise)


def all_signal(one: Collected) -> Collected:
    """Every number tells the label."""
    told = np.repeat(one.dataset.labels, one.lengths)[:, None].astype(np.float32)
    return replace(one, shards=tuple(shard + 6 * told for shard in one.shards))


def remembered(one: Collected) -> Collected:
    """A quarter of the numbers tells the label, and all of them the situation."""
    rng = np.random.default_rng(0)
    known = {name: rng.normal(size=WIDE) for name in dict.fromkeys(one.dataset.situations)}
    rows = []
    for example, label in zip(one.dataset, one.dataset.labels, strict=True):
        vector = known[example.situation].copy()
        vector[: WIDE // 4] += 3 * label
        rows.append(np.tile(vector, (3, 1)))
    n = len(rows)
    return Collected(
        dataset=one.dataset,
        rendered=[Rendered((0, 1, 2), 0)] * n,
        sites=(SITES[0],),
        starts=np.zeros(n, dtype=np.int64),
        lengths=np.full(n, 3),
        shards=(np.concatenate(rows)[None].astype(np.float32),),
    )
