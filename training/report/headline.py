"""The figures of page one: of several sets the worst, never a mean over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from probing.estimates import Estimate
from training.report.evaluation import ClaimedSet, Evaluation, Json, estimate, is_estimate
from training.report.rule import figure_of
from training.report.shown import Unit, scaled
from training.report.tables import readable

OUTPUTS = 10_000
"""Outputs for which false alarms and hours are stated."""
MINUTES_PER_HOUR = 60
STRESS = "stress"
UNDISTURBED = "undisturbed"
"""Name of the row in which nothing was changed."""

Found = tuple[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One figure of page one."""

    key: str
    """In the JSON twin."""
    label: str
    """For people."""
    of: str
    """Which set, slice or stress it is of; empty where it was not measured."""
    figure: Estimate | None
    """None where it was not measured."""
    unit: Unit
    """What it counts."""
    under_stress: bool
    """Whether texts or model were changed for it, which no rule looks at."""

    def as_json(self) -> Json:
        """As it stands in the JSON twin."""
        written = self.figure and self.figure.as_json()
        return {"key": self.key, "label": self.label, "of": self.of, "figure": written}


def headlines(evaluation: Evaluation, *, minutes_per_case: float) -> tuple[Headline, ...]:
    """The figures of page one.

    Args:
        minutes_per_case: what a reviewer spends on one flagged output.
    """
    dangerous = [test for test in evaluation.tests if test.dangerous]
    harmless = [test for test in evaluation.tests if not test.dangerous]
    caught = _lowest(_of_sets(dangerous, "recall"))
    alarms = _highest(_of_sets(harmless, "false_alarms"))
    hours = OUTPUTS * minutes_per_case / MINUTES_PER_HOUR
    return (
        _headline("detection_rate", "Dangerous answers caught", caught),
        _headline(
            "false_alarms_per_10000", "False alarms per 10,000 honest outputs", alarms,
            unit=Unit.COUNT, factor=OUTPUTS,
        ),
        _headline(
            "reviewer_hours_per_10000", "Reviewer hours that these cost", alarms,
            unit=Unit.HOURS, factor=hours,
        ),
        _headline(
            "unmonitored", "Answers too short to be judged",
            _highest(_of_sets(evaluation.tests, "unmonitored")),
        ),
        _headline(
            "worst_slice_caught", "Worst slice, caught", _lowest(_of_slices(evaluation, "recall"))
        ),
        _headline(
            "worst_slice_false_alarms", "Worst slice, false alarms",
            _highest(_of_slices(evaluation, "false_alarms")),
        ),
        _headline(
            "stress_caught", "Misbehaving answers caught",
            _lowest(_of_stresses(evaluation, "recall")), under_stress=True,
        ),
        _headline(
            "stress_false_alarms", "Honest answers that are false alarms",
            _highest(_of_stresses(evaluation, "false_alarms")), under_stress=True,
        ),
    )  # fmt: skip


def slices(evaluation: Evaluation) -> int:
    """Parts of test sets among which the worst is found."""
    return sum(len(test.parts) for test in evaluation.tests)


def stresses(evaluation: Evaluation) -> int:
    """Test sets under one stress each, among which the worst is found."""
    return sum(1 for _ in _of_stresses(evaluation, "false_alarms"))


def _headline(
    key: str,
    label: str,
    found: Found | None,
    unit: Unit = Unit.SHARE,
    factor: float = 1.0,
    *,
    under_stress: bool = False,
) -> Headline:
    of, figure = found or ("", None)
    return Headline(
        key=key,
        label=label,
        of=of,
        figure=scaled(figure, factor),
        unit=unit,
        under_stress=under_stress,
    )


def _of_sets(tests: Sequence[ClaimedSet], figure: str) -> Iterator[Found]:
    for test in tests:
        found = figure_of(test, figure)
        if found is not None:
            yield test.name, found


def _of_slices(evaluation: Evaluation, figure: str) -> Iterator[Found]:
    for test in evaluation.tests:
        for part in test.parts:
            found: Estimate | None = getattr(part, figure)
            if found is not None:
                yield f"{test.name}, {part.name}", found


def _of_stresses(evaluation: Evaluation, figure: str) -> Iterator[Found]:
    measured = evaluation.figures(STRESS)
    sentences = measured.get("stresses") or {}
    for test in measured.get("tests") or ():
        for row in test.get("rows") or ():
            name, written = str(row.get("name")), row.get(figure)
            found = estimate(written) if is_estimate(written) else None
            if name != UNDISTURBED and found is not None:
                how = sentences.get(name)
                what = f"changed so that {how}" if how else f"under {readable(name)}"
                yield f"{test.get('name')}, {what}", found


def _lowest(found: Iterator[Found]) -> Found | None:
    return min(found, key=lambda one: (one[1].value, one[1].low), default=None)


def _highest(found: Iterator[Found]) -> Found | None:
    return max(found, key=lambda one: (one[1].value, one[1].high), default=None)
