"""Candidates are compared on situations they were not fitted on, by what trips live."""

from __future__ import annotations

import json
import os
import threading
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
from training import sweep
from training.datasets.schema import Dataset
from training.datasets.splits import Fold, grouped_folds
from training.errors import EmptyClass, NothingToCompare
from training.families import difference_of_means, stack
from training.families.family import Fitted
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
        ({"families": ()}, "no probe family was asked for"),
        ({"families": (stack.FAMILY,)}, "no probe family goes with"),
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
    real = PooledPlane.fit_path

    def interrupted(self: PooledPlane, *args: Any, **kwargs: Any) -> Any:
        fits.append(self)
        if len(fits) == 5:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    monkeypatch.setattr(PooledPlane, "fit_path", interrupted)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    cache = tmp_path / "of this model"
    with pytest.raises(KeyboardInterrupt):
        cross_validate(data, GRID, folds=3, seed=0, by_family=False, console=QUIET, cache=cache)
    before = len(fits)

    again = cross_validate(data, GRID, folds=3, seed=0, by_family=False, console=QUIET, cache=cache)

    assert again == whole
    assert len(fits) - before == 9, "of the four parts, the one that was done is not fitted again"
    assert not list(cache.iterdir()), "nothing old is left to be taken for new"


def test_a_line_that_was_cut_off_is_not_taken(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.add("a", [{"x": 1}])
    journal.add("b", [{"x": 2}])
    path = tmp_path / "j.jsonl"
    path.write_text(path.read_text()[:-8])

    assert journal.read() == {"a": [{"x": 1}]}


@pytest.mark.parametrize(
    "change",
    [
        {"data": "other bytes"},
        {"grid": {"sites": ((SITES[0],),)}},
        {"grid": {"families": (difference_of_means.FAMILY,)}},
        {"grid": {"inverse_strengths": (0.01, 2.0)}},
        {"grid": {"aggregators": (AggregatorSpec.parse("mean"),)}},
        {"grid": {"span": Span("tail", 2)}},
        {"grid": {"tokens_min": (4,)}},
        {"folds": 2},
        {"seed": 1},
        {"by_family": True},
    ],
    ids=str,
)
def test_what_another_comparison_left_is_not_taken(change: dict[str, Any], tmp_path: Path) -> None:
    """The figures would be those of other data, other folds or other candidates."""
    asked: dict[str, Any] = {"data": "toy", "grid": {}, "folds": 3, "seed": 0, "by_family": False}

    def found(wanted: dict[str, Any], cache: Path | None) -> list[Trial]:
        data = collected(replace(dataset(20, families=4), sha256=wanted["data"]))
        own = {name: wanted[name] for name in ("folds", "seed", "by_family")}
        grid = replace(GRID, **wanted["grid"])
        return cross_validate(data, grid, **own, console=QUIET, cache=cache)

    class Kept(Journal):
        def done(self) -> None:
            """As where the last unit was cut off."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "Journal", Kept)
        found(asked, tmp_path)
        (left,) = tmp_path.iterdir()
        left.write_text(left.read_text().replace('"converged": true', '"converged": false'))
        assert not any(trial.converged for trial in found(asked, tmp_path)), "it is taken"

    assert all(trial.converged for trial in found(asked | change, tmp_path))


def test_the_table_keeps_the_grids_order_whichever_part_is_done_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among equals the first is taken, and that must not be left to chance."""
    late, expected = threading.Event(), run()

    def tried(unit: sweep._Unit) -> tuple[sweep._Unit, list[Trial]]:
        if unit.answers.sites == (SITES[0],):
            late.wait(timeout=20)
        found = unit.try_all()
        late.set()
        return unit, found

    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(sweep, "_tried", tried)

    assert run() == expected


def test_statistics_that_are_fitted_alike_share_their_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """All penalties of a fold are one call, which is what makes a sweep quick."""
    calls, real = [], PooledPlane.fit_path

    def noted(self: PooledPlane, *args: Any, **kwargs: Any) -> list[Fitted]:
        calls.append((kwargs["strengths"], kwargs["seed"]))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(PooledPlane, "fit_path", noted)
    data, alike = collected(dataset(20)), tuple(map(AggregatorSpec.parse, ("mean", "ema:0.3")))
    grid = replace(GRID, aggregators=alike)
    cross_validate(data, grid, folds=3, seed=7, console=QUIET, by_family=False)

    assert calls == [(GRID.inverse_strengths, 7)] * len(SITES) * 3


def test_one_fold_that_did_not_converge_is_enough_to_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, real = [], PooledPlane.fit_path

    def cut(self: PooledPlane, *args: Any, **kwargs: Any) -> list[Fitted]:
        calls.append(self)
        first, *rest = real(self, *args, **kwargs)
        return [replace(first, converged=len(calls) != 1), *rest]

    monkeypatch.setattr(PooledPlane, "fit_path", cut)
    one = replace(GRID, sites=((SITES[1],),), aggregators=GRID.aggregators[:1])

    assert [(t.inverse_strength, t.converged) for t in run(one)] == [(0.01, False), (1.0, True)]


def test_a_penalty_that_changes_nothing_is_tried_once() -> None:
    trials = run(replace(GRID, families=(difference_of_means.FAMILY,)))

    assert {trial.inverse_strength for trial in trials} == {0.01}
    assert len(trials) == 4


@pytest.mark.parametrize("by_family", [False, True])
def test_folds_are_dealt_as_was_asked(by_family: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(data: Dataset, **how: Any) -> list[Fold]:
        asked.append(how)
        return grouped_folds(data, **how)

    monkeypatch.setattr(sweep, "grouped_folds", noted)
    data = collected(dataset(20, families=6))
    cross_validate(data, GRID, folds=3, seed=7, console=QUIET, by_family=by_family)

    assert asked == [{"folds": 3, "seed": 7, "by_family": by_family}]
