"""Compare sites, probe families, penalties and aggregators by what each would do live.

Every candidate is fitted on some situations and scored on the others, token by token
through the bank that serves; its figure is the AUROC of the statistic that trips live.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from threadpoolctl import threadpool_limits

from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.estimates import Estimate, auroc
from probing.probe import Probe
from probing.spec import Site, Span, digest_of
from training.collect import Collected
from training.datasets.splits import Fold, grouped_folds
from training.errors import NothingToCompare
from training.families import logistic_regression
from training.families.family import Answers, Fitted, Method, ProbeFamily
from training.families.table import probe_family
from training.fit import as_probe, solver_warnings_silenced
from training.journal import Journal
from training.live import live_statistics
from training.progress import progress
from training.score import answer_lengths, answer_scores

Sites = tuple[Site, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is compared with what."""

    sites: tuple[Sites, ...]
    """Each entry is one probe's sites; several in one entry are read together."""
    families: tuple[ProbeFamily, ...] = (logistic_regression.FAMILY,)
    """Kinds of probe."""
    inverse_strengths: tuple[float, ...]
    """scikit-learn's C."""
    aggregators: tuple[AggregatorSpec, ...]
    """In the order of preference, should two be equally good."""
    span: Span
    """Tokens that fits average over."""
    tokens_min: tuple[int, ...]
    """Answer tokens before a probe may trip: fewer trips sooner, more errs less."""

    @property
    def identity(self) -> list[list[str]]:
        """What it tries, in words that are the same in every process."""
        return [
            [" + ".join(map(str, sites)) for sites in self.sites],
            [family.name for family in self.families],
            [*map(str, self.aggregators), str(self.span)],
            [repr(value) for value in (*self.inverse_strengths, *self.tokens_min)],
        ]

    def require(self) -> None:
        """Refuse a grid without a candidate.

        Raises:
            NothingToCompare: says what is missing.
            InvalidSpecification: a value of C or a span that nothing can be fitted with.
        """
        for what, values in (
            ("no site", self.sites),
            ("no probe family", self.families),
            ("no value of C", self.inverse_strengths),
            ("no aggregator", self.aggregators),
            ("no number of tokens", self.tokens_min),
        ):
            if not values:
                raise NothingToCompare(f"{what} was asked for; name at least one")
        if self.span.kind == "prompt":
            expected = "response, tail:K or all: live, only the answer's tokens are scored"
            raise InvalidSpecification("span", "prompt", expected)
        require_strengths(self.inverse_strengths)


def require_strengths(strengths: Sequence[float]) -> None:
    """Refuse a penalty that scikit-learn cannot fit with.

    Raises:
        InvalidSpecification: a value that is not finite or not above 0.
    """
    for value in strengths:
        if not 0 < value < math.inf:
            raise InvalidSpecification("C", f"{value:g}", "a number above 0, such as 0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate and how it did."""

    sites: Sites
    """What it reads."""
    family: ProbeFamily
    """What kind of probe it is."""
    inverse_strength: float
    """scikit-learn's C."""
    aggregator: AggregatorSpec
    """How its scores become a statistic."""
    tokens_min: int
    """Answer tokens before it may trip."""
    auroc: Estimate
    """Of the live statistic, on situations that it was not fitted on."""
    converged: bool
    """Whether the solver came to an end in every fold."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """What `as_json` wrote."""
        return cls(
            sites=tuple(map(Site.parse, data["sites"])),
            family=probe_family(data["probe_family"]),
            inverse_strength=data["C"],
            aggregator=AggregatorSpec.parse(data["aggregator"]),
            tokens_min=data["tokens_min"],
            auroc=Estimate(**data["auroc"]),
            converged=data["converged"],
        )

    def as_json(self) -> dict[str, Any]:
        """As it stands in `evaluation.json`."""
        return {
            "sites": [str(site) for site in self.sites],
            "probe_family": self.family.name,
            "C": self.inverse_strength,
            "aggregator": str(self.aggregator),
            "tokens_min": self.tokens_min,
            "auroc": self.auroc.as_json(),
            "converged": self.converged,
        }


def cross_validate(
    collected: Collected,
    grid: Grid,
    *,
    folds: int,
    seed: int,
    console: Console,
    by_family: bool,
    cache: Path | None = None,
) -> list[Trial]:
    """Try every candidate of a grid, in threads, with a bar.

    Args:
        folds: parts that the situations are dealt into; each is scored once.
        by_family: deal whole families, so that what is chosen carries over to others; where
            only situations are dealt, words that a family repeats choose.
        cache: folder of this model's, where what is found is kept until all is, so that a run
            that was interrupted goes on; None keeps nothing.

    Raises:
        NothingToCompare: the grid is empty.
        EmptyClass, TooFewSituations: the data cannot be dealt out.
        UnknownSite: a site was not collected.
    """
    grid.require()
    parts = grouped_folds(collected.dataset, folds=folds, seed=seed, by_family=by_family)
    units = _units(collected, grid, parts, seed)
    if not units:
        raise NothingToCompare("no probe family goes with these sites and aggregators")
    run = digest_of([collected.dataset.sha256, grid.identity, folds, seed, by_family])[:16]
    journal = Journal(cache / f"sweep-{run}.jsonl") if cache else None
    known = journal.read() if journal else {}
    missing = [unit for unit in units if unit.name not in known]
    if known:
        console.print(f"{len(known)} of {len(units)} parts of this comparison are done already")
    with (
        threadpool_limits(1),
        solver_warnings_silenced(),
        progress(console, "fitting", sum(unit.fits for unit in missing), "fits") as advance,
        Parallel(os.cpu_count(), prefer="threads", return_as="generator_unordered") as parallel,
    ):
        for unit, found in parallel(delayed(_tried)(unit) for unit in missing):
            known[unit.name] = [trial.as_json() for trial in found]
            if journal:
                journal.add(unit.name, known[unit.name])
            advance(unit.fits)
    if journal:
        journal.done()
    return [Trial.from_json(trial) for unit in units for trial in known[unit.name]]


def best(trials: Sequence[Trial]) -> Trial:
    """The highest AUROC; among equals the strongest penalty, then what may trip soonest."""
    return max(trials, key=lambda t: (t.auroc.value, -t.inverse_strength, -t.tokens_min))


def soonest(trials: Sequence[Trial]) -> Trial:
    """The best of those that may trip soonest, of all that lie within the interval of the best.

    What a stop is worth depends on how little has gone out before it. A probe that may trip
    earlier faces the noise of more tokens, so the highest AUROC alone always waits; where
    the difference is one of chance, waiting buys nothing.
    """
    least = best(trials).auroc.low
    good = [trial for trial in trials if trial.auroc.value >= least]
    first = min(trial.tokens_min for trial in good)
    return best([trial for trial in good if trial.tokens_min == first])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """All candidates that share their fits."""

    collected: Collected
    grid: Grid
    answers: Answers
    family: ProbeFamily
    method: Method
    aggregators: Sequence[AggregatorSpec]
    folds: Sequence[Fold]
    seed: int

    @property
    def name(self) -> str:
        """Its own within the comparison."""
        sites = " + ".join(map(str, self.answers.sites))
        return f"{self.family.name}, {sites}, {', '.join(map(str, self.aggregators))}"

    @property
    def strengths(self) -> tuple[float, ...]:
        """One alone where it changes nothing."""
        return self.grid.inverse_strengths[: None if self.family.tuned else 1]

    @property
    def fits(self) -> int:
        """How many it takes."""
        return len(self.folds) * len(self.strengths)

    def try_all(self) -> list[Trial]:
        """Fit every fold and penalty, score everything in one pass, then every aggregator."""
        labels = self.collected.dataset.labels
        probes, converged = [], dict.fromkeys(self.strengths, True)
        for train, _ in self.folds:
            path = self.method.fit_path(
                self.answers, train, strengths=self.strengths, seed=self.seed
            )
            for strength, fitted in zip(self.strengths, path, strict=True):
                converged[strength] &= fitted.converged
                probes.append(self._probe(fitted))
        scores = self._out_of_fold(answer_scores(self.collected, probes))
        lengths = answer_lengths(self.collected)
        trials = []
        for aggregator in self.aggregators:
            every = live_statistics(aggregator, scores, lengths, tokens_min=self.grid.tokens_min)
            for tokens_min, live in zip(self.grid.tokens_min, every, strict=True):
                for column, strength in enumerate(self.strengths):
                    trials.append(
                        Trial(
                            sites=self.answers.sites,
                            family=self.family,
                            inverse_strength=strength,
                            aggregator=aggregator,
                            tokens_min=tokens_min,
                            auroc=auroc(live.peaks[:, column], labels),
                            converged=converged[strength],
                        )
                    )
        return trials

    def _probe(self, fitted: Fitted) -> Probe:
        return as_probe(
            fitted,
            name="candidate",
            fingerprint="",
            sites=self.answers.sites,
            aggregator=self.aggregators[0],
            span=self.grid.span,
            tokens_min=1,
        )

    def _out_of_fold(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """For each token the channels of the probes that were not fitted on its example."""
        by_fold = scores.reshape(len(scores), len(self.folds), -1)
        fold_of = np.empty(len(self.collected.dataset), dtype=np.intp)
        for fold, (_, test) in enumerate(self.folds):
            fold_of[test] = fold
        token_folds = np.repeat(fold_of, answer_lengths(self.collected))
        return np.ascontiguousarray(by_fold[np.arange(len(scores)), token_folds])


def _tried(unit: _Unit) -> tuple[_Unit, list[Trial]]:
    """A unit with what it gave, because whichever is done first comes first."""
    return unit, unit.try_all()


def _units(collected: Collected, grid: Grid, folds: Sequence[Fold], seed: int) -> list[_Unit]:
    units = []
    for sites in grid.sites:
        answers = Answers(collected, sites)
        for family in grid.families:
            shared: dict[Method, list[AggregatorSpec]] = {}
            for aggregator in family.aggregators(grid.aggregators, answers):
                shared.setdefault(family.method(aggregator, grid.span), []).append(aggregator)
            units += [
                _Unit(
                    collected=collected,
                    grid=grid,
                    answers=answers,
                    family=family,
                    method=method,
                    aggregators=aggregators,
                    folds=folds,
                    seed=seed,
                )
                for method, aggregators in shared.items()
            ]
    return units
