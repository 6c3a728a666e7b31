"""The comparison of families: one line each, the best first, what cannot be told is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from probing.aggregators import AggregatorSpec
from probing.estimates import auroc
from probing.model import LoadedModel
from probing.spec import Span
from tests.training.evaluation.examples import toy_test
from tests.training.examples import SITES, collected, dataset
from training.evaluation import comparison
from training.evaluation.comparison import Compared, compare, page
from training.families import difference_of_means, kinds
from training.sweep import Grid


@pytest.fixture
def found(magpie: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Compared]:
    """Two families on readings of the toy world; the time of a step is not measured there."""
    took = auroc([0.0, 1.0], [0, 1])  # type: ignore[arg-type]
    monkeypatch.setattr(comparison, "microseconds_per_token", lambda loaded, probe: took)
    grid = Grid(
        sites=((SITES[1],), SITES),
        families=(difference_of_means.FAMILY, kinds.FAMILY),
        inverse_strengths=(0.1,),
        aggregators=(AggregatorSpec.parse("mean"), AggregatorSpec.parse("max")),
        span=Span("response"),
        tokens_min=(2,),
    )
    return compare(
        magpie,
        collected(dataset(60, families=6)),
        toy_test("benign", count=60, seed=2),
        toy_test("dangerous", count=60, seed=3, dangerous=True),
        grid,
        folds=3,
        seed=0,
        cache=tmp_path,
        console=Console(quiet=True),
    )


def test_every_family_stands_once_for_each_statistic_the_best_first(found: list[Compared]) -> None:
    pairs = [(one.trial.family.name, str(one.trial.aggregator)) for one in found]

    assert sorted(pairs) == [
        ("difference_of_means", "max"),
        ("difference_of_means", "mean"),
        ("kinds", "any_class:6"),
    ]
    areas = [one.dangerous.value for one in found]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > 0.9


def test_a_rate_that_the_answers_cannot_support_is_not_made_up(found: list[Compared]) -> None:
    """120 honest answers stand for one false alarm in a hundred, and not for one in a thousand."""
    data = toy_test("dangerous", seed=3, dangerous=True).dataset

    text = page(found, data, replace(data, name="again"))

    assert all(one.recall[0] is not None and one.recall[1] is None for one in found)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 3
    assert all(row.count("not measured") == 1 for row in rows)
