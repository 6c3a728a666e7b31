"""Sections as they stand on the page: which plots and tables each has.

A section that was not measured keeps its place and says so; one that this version does
not know is shown by its figures alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from probing.estimates import Estimate
from training.report import plots
from training.report.evaluation import CONTROLS, Evaluation, Json, estimate, is_estimate
from training.report.findings import in_per_cent
from training.report.plots import Plot
from training.report.tables import (
    Table,
    controls_table,
    matrix_table,
    parts_table,
    rates_table,
    readable,
    sets_table,
    tables_of,
)

IN_TABLES = (
    "dangerous", "auroc", "recall_at", "at_threshold", "unmonitored", "parts", "curves",
)  # fmt: skip
"""Figures of a test set of the claim that have tables of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a section is for."""

    title: str
    """Its heading, where it was not measured."""
    asks: str
    """The question that it answers, for people."""


QUESTIONS: Mapping[str, Question] = {
    "claim": Question(
        title="From harmless to dangerous",
        asks="Does a probe that was fitted on harmless misbehaviour catch the dangerous kind?",
    ),
    "generalisation": Question(
        title="From family to family",
        asks="Does what one kind of misbehaviour teaches carry over to another?",
    ),
    "controls": Question(
        title="Controls",
        asks="Would something that knows nothing of misbehaviour do as well?",
    ),
    "stress": Question(
        title="Stress",
        asks="Do the figures hold when the texts are changed and their meaning is not?",
    ),
    "delay": Question(
        title="Delay",
        asks="How much of an answer has been written when the probe trips?",
    ),
    "efficiency": Question(
        title="How much training it takes",
        asks="How many harmless examples does such a probe need?",
    ),
    "thresholds": Question(
        title="Thresholds",
        asks="What would be caught, and stopped by mistake, at other thresholds?",
    ),
    "cost": Question(
        title="Cost",
        asks="What does watching cost in time?",
    ),
    "replay": Question(
        title="Offline and live",
        asks="Does the probe decide live as it did when it was measured?",
    ),
}
"""By the section's name, in the order of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One section of the page."""

    title: str
    """Its heading."""
    asks: str
    """The question that it answers; empty for one that this version does not know."""
    measured: bool
    """False where the evaluation has no such section."""
    findings: tuple[str, ...]
    """What was found, in sentences."""
    refusals: tuple[str, ...]
    """What could not be measured."""
    plots: tuple[Plot, ...]
    """Drawings."""
    tables: tuple[Table, ...]
    """Everything that was measured."""


def sections(evaluation: Evaluation) -> tuple[Chapter, ...]:
    """Every section that an evaluation can have, and those that only this one has."""
    names = (*QUESTIONS, *(n for n in evaluation.sections if n not in QUESTIONS))
    return tuple(_chapter(name, evaluation) for name in names)


def _chapter(name: str, evaluation: Evaluation) -> Chapter:
    question = QUESTIONS.get(name, Question(title=name, asks=""))
    section = evaluation.sections.get(name)
    if section is None:
        return Chapter(
            title=question.title, asks=question.asks, measured=False,
            findings=(), refusals=(), plots=(), tables=(),
        )  # fmt: skip
    return Chapter(
        title=section.title,
        asks=question.asks,
        measured=True,
        findings=tuple(in_per_cent(one, section.figures) for one in section.findings),
        refusals=tuple(in_per_cent(one, section.figures) for one in section.refusals),
        plots=tuple(plot for plot in PLOTS.get(name, _no_plots)(evaluation) if plot),
        tables=tuple(TABLES.get(name, _all_tables(name))(evaluation)),
    )


def _claim_plots(evaluation: Evaluation) -> Iterator[Plot | None]:
    for draw in (plots.roc, plots.det, plots.precision_recall):
        yield draw(evaluation.tests)


def _claim_tables(evaluation: Evaluation) -> Iterator[Table]:
    tests = evaluation.tests
    yield sets_table(tests)
    yield rates_table(tests)
    for test in tests:
        if test.parts:
            yield parts_table(test)
    rest = [_without(test, *IN_TABLES) for test in _tests(evaluation, "claim")]
    further = [test for test in rest if len(test) > 1]
    figures = _without(evaluation.figures("claim"), "tests")
    yield from tables_of(figures | ({"further figures": further} if further else {}))


def _matrix_tables(evaluation: Evaluation) -> Iterator[Table]:
    figures = evaluation.figures("generalisation")
    kinds = figures.get("families") or {}
    if figures.get("matrix"):
        title = "AUROC, fitted on one family (row) and tested on another (column)"
        yield matrix_table(title, "fitted on", figures["matrix"], kinds)
    if figures.get("left_out"):
        left_out = {family: {"auroc": area} for family, area in figures["left_out"].items()}
        title = "AUROC on a family, fitted on all the other harmless ones"
        yield matrix_table(title, "tested on", left_out, {})
    yield from tables_of(_without(figures, "matrix", "left_out", "families"))


def _controls_tables(evaluation: Evaluation) -> Iterator[Table]:
    yield controls_table(evaluation.controls)
    figures = evaluation.figures(CONTROLS)
    yield from tables_of({name: _without(own, "warns") for name, own in figures.items()})


def _stress_plots(evaluation: Evaluation) -> Iterator[Plot | None]:
    for test in _tests(evaluation, "stress"):
        rows = [(readable(str(row.get("name"))), _figures(row)) for row in test.get("rows") or ()]
        yield plots.stress(str(test.get("name")), rows)


def _delay_plots(evaluation: Evaluation) -> Iterator[Plot | None]:
    for test in _tests(evaluation, "delay"):
        counts = test.get("distribution") or ()
        yield plots.delay(str(test.get("name")), [(c["released"], c["answers"]) for c in counts])


def _reliability_plots(evaluation: Evaluation) -> Iterator[Plot | None]:
    probability = evaluation.figures("thresholds").get("probability") or {}
    yield plots.reliability([
        (str(one["map"]), [(b["predicted"], Estimate(**b["observed"])) for b in one["bins"]])
        for one in probability.get("maps") or ()
    ])  # fmt: skip


def _efficiency_plots(evaluation: Evaluation) -> Iterator[Plot | None]:
    for test in _tests(evaluation, "efficiency"):
        points = [(point["pairs"], _figures(_of_draws(point))) for point in test["points"]]
        yield plots.efficiency(str(test.get("name")), points)


def _efficiency_tables(evaluation: Evaluation) -> Iterator[Table]:
    figures = evaluation.figures("efficiency")
    yield from tables_of(_without(figures, "tests"))
    tests = [
        {"name": test.get("name"), "points": [_of_draws(point) for point in test["points"]]}
        for test in _tests(evaluation, "efficiency")
    ]
    yield from tables_of({"tests": tests})


def _of_draws(point: Json) -> Json:
    """A number of pairs: over its draws, or the only one with its own interval and n."""
    each = point.get("each") or [{}]
    return _without(point, "each") | (each[0] if len(each) == 1 else {})


def _tests(evaluation: Evaluation, section: str) -> Sequence[Json]:
    tests: Sequence[Json] = evaluation.figures(section).get("tests") or ()
    return tests


def _figures(row: Json) -> dict[str, Estimate | None]:
    return {key: estimate(value) for key, value in row.items() if is_estimate(value)}


def _without(figures: Json, *keys: str) -> Json:
    return {k: v for k, v in figures.items() if k not in keys}


def _no_plots(evaluation: Evaluation) -> Iterator[Plot | None]:
    return iter(())


def _all_tables(name: str) -> Callable[[Evaluation], Iterator[Table]]:
    return lambda evaluation: tables_of(evaluation.figures(name))


PLOTS: Mapping[str, Callable[[Evaluation], Iterator[Plot | None]]] = {
    "claim": _claim_plots,
    "stress": _stress_plots,
    "delay": _delay_plots,
    "efficiency": _efficiency_plots,
    "thresholds": _reliability_plots,
}
"""Drawings of a section; others have none."""
TABLES: Mapping[str, Callable[[Evaluation], Iterator[Table]]] = {
    "claim": _claim_tables,
    "generalisation": _matrix_tables,
    "controls": _controls_tables,
    "efficiency": _efficiency_tables,
}
"""Tables of a section that are not those of its nested figures."""
