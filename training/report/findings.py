"""Findings in the units of the page: a rate is a percentage wherever it stands.

An evaluation writes every figure of a sentence as a decimal. Which of them are rates is
looked up among the section's own figures and not guessed from the words around; a figure
that is not found there, or that an area shares its letters with, stays as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from training.report.evaluation import Json, is_estimate
from training.report.shown import Unit, number, unit_of

Letters = tuple[str, str, str, int]
"""Value, low and high as a sentence has them, and n."""

NUMBER = r"\d+\.\d{3}"
PATTERN = re.compile(
    rf"(?P<value>{NUMBER}) \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\] n=(?P<n>\d+)"
    rf"|(?P<middle>{NUMBER}) in the median of (?P<draws>\d+) draws "
    rf"\((?P<least>{NUMBER}) to (?P<most>{NUMBER})\)"
    rf"|(?P<beside>{NUMBER})(?= undisturbed)"
    r"|(?P<of>\b(?:rate|share) of )(?P<alone>\d\.\d+(?:e-\d+)?)(?!\d| \[)"
)
"""A figure, one over draws, one beside the figure before it, and a rate that is no estimate."""


def in_per_cent(finding: str, figures: Json) -> str:
    """A sentence with its rates as percentages.

    Args:
        figures: those of its section, by whose names rates are told from areas.
    """
    rates = _rates(figures)
    follows = False

    def rewritten(match: re.Match[str]) -> str:
        nonlocal follows
        found = match.groupdict()
        if found["alone"]:
            return f"{found['of']}{number(float(found['alone']), Unit.SHARE)}"
        if found["beside"]:
            return f"{_hundredfold(found['beside'])}%" if follows else match[0]
        value, low, high = (found[a] or found[b] for a, b in ENDS)
        follows = (value, low, high, int(found["n"] or found["draws"])) in rates
        if not follows:
            return match[0]
        value, low, high = map(_hundredfold, (value, low, high))
        if found["draws"]:
            return f"{value}% in the median of {found['draws']} draws ({low} to {high}%)"
        return f"{value}% [{low}, {high}] n={found['n']}"

    return PATTERN.sub(rewritten, finding)


ENDS = (("value", "middle"), ("low", "least"), ("high", "most"))
"""The pattern's names of the same thing in its two forms."""


def _rates(figures: Json) -> Set[Letters]:
    """Rates whose letters no other kind of figure has."""
    found = list(_figures(figures, Unit.PLAIN))
    others = {letters for letters, unit in found if unit is not Unit.SHARE}
    return {letters for letters, unit in found if unit is Unit.SHARE} - others


def _figures(figures: Any, unit: Unit) -> Iterator[tuple[Letters, Unit]]:
    if is_estimate(figures):
        value, low, high = (f"{float(figures[end]):.3f}" for end in ("value", "low", "high"))
        yield (value, low, high, int(figures["n"])), unit
    elif isinstance(figures, dict):
        for name, own in figures.items():
            yield from _figures(own, unit_of(name))
    elif isinstance(figures, list):
        for own in figures:
            yield from _figures(own, unit)


def _hundredfold(decimal: str) -> str:
    return f"{100 * float(decimal):.1f}"
