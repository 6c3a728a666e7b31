"""What a family promises, apart from what it fits."""

from __future__ import annotations

import numpy as np
import pytest

from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.families import difference_of_means, stack, token_regression
from training.families.family import (
    Answers,
    Examples,
    Fitted,
    Logits,
    Method,
    ProbeFamily,
    TokenReadings,
)
from training.families.table import PROBE_FAMILIES, probe_families, probe_family

WANTED = tuple(map(AggregatorSpec.parse, ("max", "tail_concat:3", "attention:2", "ema:0.3")))


class Remembered(Method):
    """Fits nothing, and remembers what it was asked for."""

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        empty = np.zeros((2, 1, 6), dtype=np.float32)
        return Fitted(weights=empty, bias=empty[0, :, 0], estimator=(strength, seed))

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        return np.zeros((len(readings), 1))


def test_what_has_no_path_is_fitted_one_strength_after_another() -> None:
    answers = Answers(collected(dataset(4)), SITES)

    path = Remembered().fit_path(answers, np.arange(8), strengths=(1.0, 0.1, 9.0), seed=5)

    assert [fitted.estimator for fitted in path] == [(1.0, 5), (0.1, 5), (9.0, 5)]


@pytest.mark.parametrize(
    ("family", "sites", "expected"),
    [
        (difference_of_means.FAMILY, 1, ["max", "tail_concat:3", "ema:0.3"]),
        (token_regression.FAMILY, 1, ["max", "ema:0.3"]),
        (stack.FAMILY, 2, ["max", "ema:0.3"]),
        (stack.FAMILY, 1, []),
    ],
)
def test_a_family_takes_the_statistics_that_it_goes_with(
    family: ProbeFamily, sites: int, expected: list[str]
) -> None:
    answers = Answers(collected(dataset(4)), SITES[:sites])

    assert [str(spec) for spec in family.aggregators(WANTED, answers)] == expected


@pytest.mark.parametrize("family", PROBE_FAMILIES, ids=lambda f: f.name)
def test_methods_of_one_statistic_are_equal(family: ProbeFamily) -> None:
    """Equal ones share their fits; what a sweep does twice it would otherwise do for nothing."""
    answers = Answers(collected(dataset(4)), SITES)
    spec = family.aggregators(WANTED, answers)[0]

    assert len({family.method(spec, Span("response")) for _ in range(2)}) == 1


def test_families_are_named_once_each_in_any_order_or_all_together() -> None:
    assert probe_families(["stack", "network", "stack"]) == (
        probe_family("stack"), probe_family("network"),
    )  # fmt: skip
    assert probe_families(["stack", "all"]) == PROBE_FAMILIES
    with pytest.raises(InvalidSpecification, match="stack, network"):
        probe_families(["stack", "forest"])
