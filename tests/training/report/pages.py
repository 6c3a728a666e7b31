"""Pages of the example evaluation."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.training.report.examples import Json, evaluation_json, read, share
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


class Elements(HTMLParser):
    """Everything that a browser would make an element of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def normalised(html: str) -> str:
    """A page without its style sheet and its drawings, whose letters differ from font to font."""
    html = re.sub(r"<style>.*?</style>", "<style></style>", html, flags=re.DOTALL)
    return re.sub(r"<svg\b.*?</svg>", "<svg></svg>", html, flags=re.DOTALL)


def shown(html: str) -> str:
    """What a reader reads, in one line."""
    return " ".join(" ".join(Elements(normalised(html)).words).split())


def worse() -> dict[str, Any]:
    """The example with a recall that is too low."""
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"][0]["parts"][0]["recall"] = share(200, 300)
    return evaluation
