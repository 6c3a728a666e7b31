"""Candidates are compared on situations they were not fitted on, by what trips live."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.errors import EmptyClass, NothingToCompare
from training.families.pooled import PooledPlane
from training.journal import Journal
from training.sweep import Grid, Trial, best, cross_validate, soonest
from training.tables import heat_table

QUIET = Console(file=StringIO())
GRID = Grid(
    sites=tuple((site,) for site in SITES),
    inverse_strengths=(0.01, 1.0),
    aggregators=(AggregatorSpec.parse("mean"), AggregatorSpec.parse("tail_concat:2")),
    span=Span("response"),
    tokens_min=(3,),
)


def run(grid: Grid = GRID, *, prompt: int = 0, by_family: bool = False) -> list[Trial]:
    data = collected(dataset(60, families=6), prompt=prompt)
    return cross_validate(data, grid, folds=3, seed=0, console=QUIET, by_family=by_family)


@pytest.mark.parametrize("prompt", [0, 4])
@pytest.mark.parametrize("by_family", [False, True])
def test_the_site_that_knows_is_chosen(prompt: int, by_family: bool) -> None:
    """With the prompt's readings in the way, which say the opposite, as well as without."""
    trials = run(prompt=prompt, by_family=by_family)

    assert len(trials) == 2 * 2 * 2
    assert best(trials).sites == (SITES[1],)
    assert best(trials).auroc.value > 0.95
    blind = [t.auroc.value for t in trials if t.sites == (SITES[0],)]
    assert max(blind) < 0.7, "readings of noise must not look like knowledge"


def test_the_same_seed_gives_the_same_figures() -> None:
    """Threads finish in any order; the table must not depend on it."""
    assert run() == run()


def test_several_sites_can_be_read_together() -> None:
    together = replace(GRID, sites=(SITES,))

    assert run(together)[0].auroc.value > 0.95


def test_among_equals_the_strongest_penalty_is_taken() -> None:
    trial = run()[0]
    weak, strong = replace(trial, inverse_strength=1.0), replace(trial, inverse_strength=0.1)

    assert best([weak, strong]) is strong
    assert best([strong, weak]) is strong


def test_among_equals_what_may_trip_soonest_is_taken() -> None:
    """A halt that comes later has let more of the answer out."""
    trial = run()[0]
    late, soon = replace(trial, tokens_min=8), replace(trial, tokens_min=4)

    assert best([late, soon]) is soon
    assert best([soon, late]) is soon


def test_answers_that_are_too_short_leave_figures_that_json_can_hold() -> None:
    """-inf in a file is no JSON: a whole run would fail at its end."""
    data = collected(dataset(20), lengths=[2, 9] * 20)

    trials = cross_validate(data, GRID, folds=2, seed=0, console=QUIET, by_family=False)

    assert json.dumps([trial.as_json() for trial in trials], allow_nan=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sites": ()}, "no site"),
        ({"aggregators": ()}, "no aggregator"),
        ({"inverse_strengths": ()}, "no value of C"),
        ({"tokens_min": ()}, "no number of tokens"),
    ],
)
def test_an_empty_grid_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(NothingToCompare, match=says):
        run(replace(GRID, **change))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"inverse_strengths": (0.0,)}, "a number above 0"),
        ({"inverse_strengths": (float("nan"),)}, "a number above 0"),
        ({"inverse_strengths": (float("inf"),)}, "a number above 0"),
        ({"span": Span("prompt")}, "only the answer"),
    ],
)
def test_what_nothing_can_be_fitted_with_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidSpecification, match=says):
        run(replace(GRID, **change))


def test_one_class_alone_is_refused() -> None:
    honest = collected(dataset(10).only("honest"))

    with pytest.raises(EmptyClass):
        cross_validate(honest, GRID, folds=2, seed=0, console=QUIET, by_family=False)


def test_the_table_marks_what_was_chosen_and_what_did_not_converge() -> None:
    trials = run()
    trials[0] = replace(trials[0], converged=False)
    console = Console(file=StringIO(), width=100)

    console.print(heat_table(trials, best(trials)))

    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("*") == 1
    assert "1 of 8 fits did not converge" in text
    assert "1.resid_post" in text


def test_figures_are_of_examples_that_were_not_fitted_on() -> None:
    """Fitted and scored on the same noise, 40 examples in 12 numbers would look well told apart."""
    data = collected(dataset(20))
    shuffled = np.random.default_rng(1).permutation(len(data.dataset))
    examples = tuple(
        replace(e, label=data.dataset.examples[i].label)
        for e, i in zip(data.dataset, shuffled, strict=True)
    )
    noise = replace(data, dataset=replace(data.dataset, examples=examples))

    trials = cross_validate(noise, GRID, folds=4, seed=0, console=QUIET, by_family=False)

    assert np.mean([t.auroc.value for t in trials]) < 0.65


def test_what_may_trip_sooner_is_taken_where_the_difference_is_chance() -> None:
    """The highest area alone always waits, and a stop that comes late stops nothing."""
    trial = run()[0]

    def tried(value: float, tokens_min: int, low: float = 0.0) -> Trial:
        area = replace(trial.auroc, value=value, low=low)
        return replace(trial, auroc=area, tokens_min=tokens_min)

    late, soon, weaker = tried(0.99, 12, low=0.98), tried(0.985, 4), tried(0.982, 4)
    worse = tried(0.97, 1)

    assert soonest([late, soon, weaker, worse]) is soon
    assert soonest([late, worse]) is late


def test_an_interrupted_comparison_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of fits must not be lost to one press of a key."""
    data, fits = collected(dataset(30)), []
    whole = cross_validate(data, GRID, folds=3, seed=0, by_family=False, console=QUIET)
    real = PooledPlane.fit

    def interrupted(self: PooledPlane, *args: Any, **kwargs: Any) -> Any:
        fits.append(self)
        if len(fits) == 10:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(PooledPlane, "fit", interrupted)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, GRID, folds=3, seed=0, by_family=False, console=QUIET, cache=tmp_path)
    before = len(fits)

    again = cross_validate(
        data, GRID, folds=3, seed=0, by_family=False, console=QUIET, cache=tmp_path
    )

    assert again == whole
    assert len(fits) - before == 18, "of the four parts, the one that was done is not fitted again"
    assert not list(tmp_path.iterdir()), "nothing old is left to be taken for new"


def test_a_line_that_was_cut_off_is_not_taken(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.add("a", [{"x": 1}])
    journal.add("b", [{"x": 2}])
    path = tmp_path / "j.jsonl"
    path.write_text(path.read_text()[:-8])

    assert journal.read() == {"a": [{"x": 1}]}
