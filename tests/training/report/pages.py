"""Pages of the example evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.training.report.examples import Json, evaluation_json, read
from training.report.changes import compare
from training.report.page import Report, as_html, as_json, make_report
from training.report.rule import DEFAULT_RULE, read_rule


def example_report(
    folder: Path, evaluation: Json | None = None, *, since: Json | None = None, **told: Any
) -> Report:
    """A report of the example, or of another evaluation."""
    before = None if since is None else read(folder, since)
    now = read(folder, evaluation)
    told = {"by": None, "interests": None, "minutes_per_case": 5.0} | told
    return make_report(
        now,
        read_rule(DEFAULT_RULE),
        comparison=before and compare(before, now),
        by=told["by"],
        interests=told["interests"],
        minutes_per_case=told["minutes_per_case"],
    )


def page(folder: Path, evaluation: Json | None = None, **told: Any) -> str:
    """Its page."""
    return as_html(example_report(folder, evaluation, **told))


def twin(folder: Path, evaluation: Json | None = None, **told: Any) -> Json:
    """Its JSON twin."""
    read_back: Json = json.loads(as_json(example_report(folder, evaluation, **told)))
    return read_back


def without(*sections: str) -> Json:
    """The example without some sections."""
    evaluation = evaluation_json()
    for name in sections:
        del evaluation["sections"][name]
    return evaluation
