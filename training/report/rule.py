"""The rule that a probe is held against: data, set before anything is measured.

Each condition is judged at the end of the interval that speaks against the probe, and on
the worst of the sets that it names. What was not measured is never met.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from probing.estimates import Estimate
from training.report.errors import RuleUnreadable
from training.report.evaluation import CONTROLS, ClaimedSet, Evaluation

DEFAULT_RULE = Path(__file__).parent / "rule.toml"
FIGURES = ("recall", "false_alarms", "auroc", "unmonitored")
"""Figures of a test set that a condition may name."""
SETS = {"dangerous": (True,), "harmless": (False,), "all": (True, False)}
"""Which sets a condition names, by whether misbehaving in them is dangerous."""


class Outcome(StrEnum):
    """What came of a condition, the worst first."""

    NOT_MET = "not met"
    NOT_MEASURED = "not measured"
    MET = "met"


PASSED = {True: Outcome.MET, False: Outcome.NOT_MET, None: Outcome.NOT_MEASURED}
"""What comes of a control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is asked."""

    says: str
    """In words."""
    figure: str
    """One of `FIGURES`, or `controls`."""
    sets: str
    """One of `SETS`."""
    at_least: float | None
    """Limit of the interval's lower end."""
    at_most: float | None
    """Limit of its upper end."""

    def judge(self, figure: Estimate | None) -> Outcome:
        """Hold one figure against the limit."""
        if figure is None:
            return Outcome.NOT_MEASURED
        low_enough = self.at_most is None or figure.high <= self.at_most
        high_enough = self.at_least is None or figure.low >= self.at_least
        return Outcome.MET if low_enough and high_enough else Outcome.NOT_MET


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A condition held against one set or one control."""

    of: str
    """Name of the set or the control."""
    figure: Estimate | None
    """What was measured; None for a control, which passes or not."""
    outcome: Outcome
    """What came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A condition with all that it was held against."""

    condition: Condition
    """What is asked."""
    checks: tuple[Check, ...]
    """One for each set or control; none where none was measured."""

    @property
    def outcome(self) -> Outcome:
        """That of the worst check."""
        return worst([check.outcome for check in self.checks])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Everything that is asked of a probe."""

    name: str
    """What a probe is that meets it."""
    set_on: str
    """ISO date on which it was written."""
    conditions: tuple[Condition, ...]
    """All of them must be met."""
    sha256: str
    """Of its file."""

    def judge(self, evaluation: Evaluation) -> tuple[Judged, ...]:
        """Hold an evaluation against every condition."""
        return tuple(
            Judged(condition=condition, checks=tuple(_checks(condition, evaluation)))
            for condition in self.conditions
        )


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Not met before not measured before met; not measured where there is none."""
    order = list(Outcome)
    return min(outcomes, key=order.index, default=Outcome.NOT_MEASURED)


def read_rule(path: Path) -> Rule:
    """Read a rule's file.

    Raises:
        RuleUnreadable: it is no TOML, asks nothing, or names a figure that does not exist.
    """
    try:
        data = path.read_bytes()
        written = tomllib.loads(data.decode())
        return Rule(
            name=written["name"],
            set_on=written["set_on"].isoformat(),
            conditions=tuple(map(_condition, _some(written["condition"]))),
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except OSError as error:
        raise RuleUnreadable(str(path), error.strerror or str(error)) from error
    except KeyError as error:
        raise RuleUnreadable(str(path), f"it has no {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise RuleUnreadable(str(path), str(error)) from error


def _some(conditions: list[Any]) -> list[Any]:
    if not conditions:
        raise ValueError("it has no condition")
    return conditions


def _condition(written: dict[str, Any]) -> Condition:
    defaults = {"sets": "all", "at_least": None, "at_most": None}
    condition = Condition(**(defaults | written))
    limits = (condition.at_least, condition.at_most)
    if condition.figure not in (*FIGURES, CONTROLS):
        raise ValueError(f"figure {condition.figure!r} is none of {(*FIGURES, CONTROLS)}")
    if not all(limit is None or type(limit) in (int, float) for limit in limits):
        raise ValueError(f"{condition.says!r} has a limit that is no number")
    if condition.sets not in SETS:
        raise ValueError(f"sets {condition.sets!r} is none of {tuple(SETS)}")
    if (condition.figure == CONTROLS) != (limits == (None, None)):
        raise ValueError(f"{condition.says!r} needs a limit, and controls need none")
    return condition


def _checks(condition: Condition, evaluation: Evaluation) -> Iterator[Check]:
    if condition.figure == CONTROLS:
        for control in evaluation.controls:
            yield Check(of=control.name, figure=None, outcome=PASSED[control.passed])
        return
    for test in evaluation.tests:
        if test.dangerous in SETS[condition.sets]:
            figure = figure_of(test, condition.figure)
            yield Check(of=test.name, figure=figure, outcome=condition.judge(figure))


def figure_of(test: ClaimedSet, name: str) -> Estimate | None:
    """One of `FIGURES` of a whole test set."""
    if name == "unmonitored":
        return test.unmonitored
    found: Estimate | None = getattr(test.whole, name)
    return found
