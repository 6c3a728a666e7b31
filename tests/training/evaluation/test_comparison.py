"""The comparison of families: one line each, the best first, what cannot be told is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from probing.aggregators import AggregatorSpec
from probing.estimates import auroc
from probing.model import LoadedModel
from probing.spec import Span
from tests.training.evaluation.examples import toy_test
from tests.training.examples import SITES, collected, dataset
from training.errors import TooFewSituations
from training.evaluation import comparison
from training.evaluation.comparison import Compared, _recall, compare, page
from training.families import difference_of_means, kinds
from training.sweep import Grid


@pytest.fixture
def found(magpie: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Compared]:
    """Two families on readings of the toy world; the time of a step is not measured there."""
    took = auroc([0.0, 1.0], [0, 1])  # type: ignore[arg-type]
    monkeypatch.setattr(comparison, "microseconds_per_token", lambda loaded, probe: took)
    return compared(magpie, tmp_path, families=6)


def compared(magpie: LoadedModel, cache: Path, *, families: int) -> list[Compared]:
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
        collected(dataset(60, families=families)),
        toy_test("benign", count=90, seed=2),
        toy_test("dangerous", count=60, seed=3, dangerous=True),
        grid,
        folds=3,
        seed=0,
        cache=cache,
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
    """150 honest answers stand for one false alarm in a hundred, and not for one in a thousand."""
    data = toy_test("dangerous", seed=3, dangerous=True).dataset

    text = page(found, data, replace(data, name="again"))

    assert all(one.recall[0] is not None and one.recall[1] is None for one in found)
    for one in found:
        recall = one.as_json()["recall_dangerous"]
        assert (recall["0.01"]["n"], recall["0.001"]) == (60, None)
    assert "the 120 honest answers" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 3
    assert all(row.count("not measured") == 1 for row in rows)


def test_honest_answers_too_short_to_trip_give_no_recall() -> None:
    peaks = np.concatenate([np.full(200, -np.inf), np.ones(5)])

    assert _recall(peaks, np.repeat([0, 1], [200, 5]), 0.01) is None


def test_each_area_is_that_of_its_own_answers(found: list[Compared]) -> None:
    assert {(one.dangerous.n, one.benign.n) for one in found} == {(120, 180)}


def test_whole_families_are_left_out_when_choosing(magpie: LoadedModel, tmp_path: Path) -> None:
    """Chosen on the families that it was fitted on, a probe that knows them by heart would win."""
    with pytest.raises(TooFewSituations, match="families"):
        compared(magpie, tmp_path, families=2)
