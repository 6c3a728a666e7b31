"""Train a probe from data to store: read, compare, fit, calibrate, compare forms, publish."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.estimates import Estimate
from probing.model import LoadedModel
from probing.probe import Probe
from training.calibrate import calibrate, require_enough
from training.card import Results
from training.collect import Collected, collect
from training.datasets.bundled import TrainingSets
from training.datasets.schema import Dataset
from training.datasets.splits import families_suffice, require_spread
from training.evaluate import BagOfWords, Row, evaluate, family_table
from training.export import export
from training.families.family import Answers, Fitted, Method
from training.fit import as_probe, solver_warnings_silenced
from training.publish import golden_of, publish, require_golden
from training.sweep import Grid, Sites, Trial, cross_validate, soonest
from training.tables import (
    calibration_line,
    describe,
    family_heat,
    heat_table,
    results_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one training run is to do."""

    sets: TrainingSets
    """What to fit on, calibrate with and test on."""
    grid: Grid
    """What to choose from."""
    name: str
    """The probe's name in the store."""
    fpr: float
    """False alarms to allow, as a share of honest answers."""
    folds: int = 5
    """Parts of the cross-validation."""
    by_family: bool | None = None
    """Cross-validate over families or over situations; None takes families where they suffice."""
    seed: int = 0
    """Of every split."""
    cache: Path
    """Where readings are kept."""
    notes: str = ""
    """Markdown that is added to the card."""

    @property
    def families_held_out(self) -> bool:
        """Whether cross-validation keeps whole families together."""
        if self.by_family is None:
            return families_suffice(self.sets.fit, self.folds)
        return self.by_family

    def require(self) -> None:
        """Refuse before anything is read.

        Raises:
            InvalidReference, NothingToCompare, EmptyClass, TooFewSituations, TooFewExamples,
            SituationLeak, TooFewNegatives.
        """
        Ref(self.name)
        self.grid.require()
        require_spread(self.sets.fit, self.folds, by_family=self.families_held_out)
        require_golden(self.sets.fit)
        self.sets.require_no_leak()
        require_enough(self.sets.calibration, self.fpr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A published probe and everything that was measured of it."""

    ref: Ref
    """Where it stands in the store."""
    probe: Probe
    """The probe with its threshold."""
    results: Results
    """All figures."""


@dataclass(slots=True)
class _Clock:
    """Wall-clock time of each step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 2)


def train(loaded: LoadedModel, plan: Plan, store: ProbeStore, *, console: Console) -> Trained:
    """Train, calibrate and publish a probe, showing bars and tables.

    Raises:
        TrainingError, ProbingError: the plan, the data, the model or the store cannot serve;
            nothing was published.
    """
    plan.require()
    store.require_writable()
    clock = _Clock()
    with clock.step("read"):
        fitting = _collect(loaded, plan, plan.sets.fit, console)
    with clock.step("compare"):
        trials = cross_validate(
            fitting,
            plan.grid,
            folds=plan.folds,
            seed=plan.seed,
            by_family=plan.families_held_out,
            console=console,
            cache=plan.cache / loaded.spec.fingerprint,
        )
        chosen = soonest(trials)
    console.print(heat_table(trials, chosen, by_family=plan.families_held_out))
    console.print(f"chosen, marked *: {describe(chosen)}")
    with clock.step("calibrate"):
        final = _refit(fitting, chosen, plan)
        honest = _collect(loaded, plan, plan.sets.calibration, console)
        calibrated = calibrate(_as_probe(final, chosen, plan, loaded), honest, fpr=plan.fpr)
    console.print(calibration_line(calibrated))
    with clock.step("test"):
        tests = [_collect(loaded, plan, test, console) for test in plan.sets.tests]
        figures = _tested(calibrated.probe, plan, tests, console)
        families = _families(fitting, trials, plan, loaded, tests)
    if families:
        console.print(family_heat(families))
    with clock.step("publish"):
        results = Results(
            trials=trials,
            chosen=chosen,
            calibrated=calibrated,
            tests=figures,
            families=families,
            seconds=clock.seconds,
        )
        ref = publish(
            store,
            loaded,
            plan.sets,
            results,
            golden=golden_of(loaded, calibrated.probe, fitting),
            forms=export(_method(chosen, plan), final, calibrated.probe, honest),
            notes=plan.notes,
        )
    return Trained(ref=ref, probe=store.load(ref).probe, results=results)


def _collect(loaded: LoadedModel, plan: Plan, dataset: Dataset, console: Console) -> Collected:
    sites = [site for together in plan.grid.sites for site in together]
    whole = plan.grid.span.reads_prompt
    return collect(loaded, dataset, sites, cache=plan.cache, console=console, whole=whole)


def _refit(fitting: Collected, trial: Trial, plan: Plan) -> Fitted:
    """The chosen candidate on everything there is to fit on."""
    answers, everything = Answers(fitting, trial.sites), np.arange(len(fitting.dataset))
    with solver_warnings_silenced():
        return _method(trial, plan).fit(
            answers, everything, strength=trial.inverse_strength, seed=plan.seed
        )


def _method(trial: Trial, plan: Plan) -> Method:
    return trial.family.method(trial.aggregator, plan.grid.span)


def _as_probe(fitted: Fitted, trial: Trial, plan: Plan, loaded: LoadedModel) -> Probe:
    return as_probe(
        fitted,
        name=plan.name,
        fingerprint=loaded.spec.fingerprint,
        sites=trial.sites,
        aggregator=trial.aggregator,
        span=plan.grid.span,
        tokens_min=trial.tokens_min,
    )


def _tested(
    probe: Probe, plan: Plan, tests: Sequence[Collected], console: Console
) -> dict[str, list[Row]]:
    if not tests:
        return {}
    words = BagOfWords(plan.sets.fit)
    figures = {}
    for test in tests:
        figures[test.dataset.name] = rows = evaluate(probe, test, words)
        console.print(results_table(test.dataset.name, rows))
    return figures


def _families(
    fitting: Collected,
    trials: Sequence[Trial],
    plan: Plan,
    loaded: LoadedModel,
    tests: Sequence[Collected],
) -> dict[Sites, dict[str, Estimate]]:
    """Each site's best candidate, fitted on everything, on every family of the test sets."""
    probes = {}
    for sites in plan.grid.sites if tests else ():
        trial = soonest([t for t in trials if t.sites == sites])
        probes[sites] = _as_probe(_refit(fitting, trial, plan), trial, plan, loaded)
    return family_table(probes, tests)
