"""Probes with a channel for each kind of misbehaviour."""

from __future__ import annotations

import numpy as np
import pytest

from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import indicators, kinds
from training.families.family import Answers, ProbeFamily
from training.families.kinds import SILENT


@pytest.mark.parametrize("family", [kinds.FAMILY, indicators.FAMILY], ids=lambda f: f.name)
@pytest.mark.parametrize("families", [1, 3])
def test_a_kind_that_was_not_fitted_on_stays_silent(family: ProbeFamily, families: int) -> None:
    """In a fold without it, an unknown channel would decide at random."""
    data = collected(dataset(40, families=families + 1))
    answers = Answers(data, SITES)
    last = f"family-{families}"
    known = np.array([i for i, e in enumerate(data.dataset) if e.family != last])
    (spec,) = family.aggregators((), answers)

    fitted = family.method(spec, Span("response")).fit(answers, known, strength=1.0, seed=0)

    assert spec.channels == families + 1
    assert fitted.bias[-1] == SILENT
    assert not fitted.weights[:, -1].any()
    assert fitted.weights[:, :-1].any(axis=(0, 2)).all()


def test_a_channel_speaks_up_for_its_own_kind() -> None:
    data = collected(dataset(60, families=2))
    for number, (example, begin) in enumerate(
        zip(data.dataset, np.cumsum(data.lengths) - data.lengths, strict=True)
    ):
        if example.label == "misbehaving":
            feature = 1 + int(example.family[-1])
            data.shards[0][1, begin : begin + data.lengths[number], feature] += 6.0
    answers = Answers(data, SITES)
    (spec,) = kinds.FAMILY.aggregators((), answers)
    method = kinds.FAMILY.method(spec, Span("response"))
    fitted = method.fit(answers, np.arange(120), strength=1.0, seed=0)

    for example in (1, 3):
        tokens = answers.tokens(example, Span("response"))
        said = method.logits(fitted, tokens).mean(axis=0)
        assert int(said.argmax()) == int(data.dataset.examples[example].family[-1])
