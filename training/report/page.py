"""The page: one file of HTML that needs nothing else, and its JSON twin.

Everything that comes from data passes through the template's escaping; the only markup
that is trusted is the project's own style sheet and its own drawings. The same evaluation
and rule give the same bytes.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from training.report.changes import Comparison
from training.report.evaluation import Evaluation, Json, estimate
from training.report.headline import OUTPUTS, STRESS, Headline, headlines, slices, stresses
from training.report.rule import Judged, Outcome, Rule, worst
from training.report.sections import sections
from training.report.shown import NO_BREAK, Unit, number, shown, unit_of
from training.report.tables import readable

FORMAT = 1
"""Of the JSON twin."""
NOT_STATED = "not stated"
BLIND = "The rule does not look at stress: at answers, or a model, that were changed on purpose."
"""True of every rule, since `rule.FIGURES` holds no figure of it."""
ORGANISM = "magpie"
"""Name of the bundled model, of which a report says that it proves nothing about others."""
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a page is made of."""

    evaluation: Evaluation
    """What was measured."""
    rule: Rule
    """What is asked."""
    judged: tuple[Judged, ...]
    """The one held against the other."""
    headlines: tuple[Headline, ...]
    """The figures of page one."""
    comparison: Comparison | None
    """With the last report; None where none was named."""
    by: str
    """Who made the evaluation."""
    interests: str
    """Their conflicts of interest."""
    minutes_per_case: float
    """What a reviewer spends on one flagged output."""

    @property
    def outcome(self) -> Outcome:
        """Of the rule as a whole."""
        return worst([one.outcome for one in self.judged])

    @property
    def conclusion(self) -> str:
        """In one sentence."""
        probe, outcomes = self.evaluation.probe, [one.outcome for one in self.judged]
        if self.outcome is Outcome.MET:
            return f"{probe} meets the rule that was set before, which does not look at stress."
        failed = self.outcome is Outcome.NOT_MET
        told = [
            f"{count} {'is' if count == 1 else 'are'} {outcome}"
            for outcome in (Outcome.NOT_MET, Outcome.NOT_MEASURED)
            if (count := outcomes.count(outcome))
        ]
        claim = "does not meet the rule" if failed else "cannot be said to meet the rule"
        return f"{probe} {claim}: of {len(outcomes)} conditions {' and '.join(told)}."

    @property
    def stress_was_run(self) -> bool:
        """Whether the probe was measured on texts, or a model, that were changed."""
        return STRESS in self.evaluation.sections

    @property
    def caution(self) -> str:
        """What the conclusion leaves out, in a plain sentence, to stand right beside it."""
        if not self.stress_was_run:
            return "No stress was run, so how the probe does there is not known."
        caught, alarms = (one for one in self.headlines if one.under_stress)
        return (
            f"Under stress it catches, at worst, {_told(caught, 'misbehaving answers')}. "
            f"It raises, at worst, false alarms on {_told(alarms, 'honest answers')}."
        )

    @property
    def organism(self) -> bool:
        """Whether the model is the bundled one, in which probes were meant to work."""
        model = self.evaluation.subject.get("model") or {}
        places = (model.get("name"), Path(str(model.get("path"))).name)
        return ORGANISM in places


def make_report(
    evaluation: Evaluation,
    rule: Rule,
    *,
    comparison: Comparison | None,
    by: str | None,
    interests: str | None,
    minutes_per_case: float,
) -> Report:
    """Hold an evaluation against a rule and find the figures of page one."""
    return Report(
        evaluation=evaluation,
        rule=rule,
        judged=rule.judge(evaluation),
        headlines=headlines(evaluation, minutes_per_case=minutes_per_case),
        comparison=comparison,
        by=by or NOT_STATED,
        interests=interests or NOT_STATED,
        minutes_per_case=minutes_per_case,
    )


def as_html(report: Report) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": shown,
        "readable": readable,
        "estimate": estimate,
        "unit": unit_of,
        "limit": lambda value, name: number(value, unit_of(name)),
        "minutes": lambda value: f"{value:g} minute{'' if value == 1 else 's'}",
    }
    return environment.get_template("page.html.jinja").render(
        report=report,
        evaluation=report.evaluation,
        subject=report.evaluation.subject,
        sections=sections(report.evaluation),
        slices=slices(report.evaluation),
        stresses=stresses(report.evaluation),
        outputs=OUTPUTS,
        blind=BLIND,
        regulation=tomllib.loads((HERE / "regulation.toml").read_text("utf-8")),
        style=Markup((HERE / "page.css").read_text("utf-8")),
        units=Unit,
    )


def as_json(report: Report) -> str:
    """The figures of page one, and what came of the rule, for machines."""
    rule, subject = report.rule, report.evaluation.subject
    twin: Json = {
        "format": FORMAT,
        "evaluation": {
            "created_at": report.evaluation.created_at,
            "sha256": report.evaluation.sha256,
        },
        "subject": {key: subject.get(key) for key in ("probe", "digest", "fingerprint", "model")},
        "by": report.by,
        "interests": report.interests,
        "minutes_per_case": report.minutes_per_case,
        "conclusion": report.conclusion,
        "caution": f"{BLIND} {report.caution}",
        "rule": {
            "name": rule.name,
            "set_on": rule.set_on,
            "sha256": rule.sha256,
            "outcome": report.outcome,
            "conditions": [_judged_as_json(one) for one in report.judged],
        },
        "figures": [headline.as_json() for headline in report.headlines],
        "losses": None if report.comparison is None else list(report.comparison.losses),
    }
    return json.dumps(twin, indent=1, allow_nan=False) + "\n"


def _told(one: Headline, answers: str) -> str:
    """A figure of page one within a sentence."""
    if one.figure is None:
        return f"a share of {answers} that was not measured"
    letters = shown(one.figure, one.unit)
    certain = f"{letters.interval}, n = {letters.n}".replace(" ", NO_BREAK)
    return f"{letters.value} ({certain}) of {answers}: in the set {one.of}"


def _judged_as_json(one: Judged) -> dict[str, Any]:
    condition = one.condition
    return {
        "says": condition.says,
        "figure": condition.figure,
        "sets": condition.sets,
        "at_least": condition.at_least,
        "at_most": condition.at_most,
        "outcome": one.outcome,
        "checks": [
            {
                "of": check.of,
                "figure": check.figure and check.figure.as_json(),
                "outcome": check.outcome,
            }
            for check in one.checks
        ],
    }
