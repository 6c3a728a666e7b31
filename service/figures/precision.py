"""How many of a probe version's flags humans confirm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from probing.estimates import Estimate, UndefinedEstimate, rate
from service.figures.outcome import Figure, figure


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaggedCase:
    """A flag, and what the reviewers made of it in the end."""

    probe_version: str
    """The version that flagged it, such as "petty@3"."""
    misbehaving: bool | None
    """What was ruled; None while it waits, and where the reviewers could not tell."""


def precision(cases: Iterable[FlaggedCase]) -> dict[str, Figure]:
    """Confirmed of ruled, for every probe version that has a case.

    Cases that wait or could not be told are not in n. The figure stands for all flags of
    the version only where the order of reviewing does not depend on what is in them.

    Returns:
        The exact interval of Clopper and Pearson and the n behind it; undefined for a
        version of which no case is ruled on.
    """
    rulings: dict[str, list[bool | None]] = {}
    for case in cases:
        rulings.setdefault(case.probe_version, []).append(case.misbehaving)
    return {name: figure(partial(_confirmed, name, found)) for name, found in rulings.items()}


def _confirmed(version: str, rulings: list[bool | None]) -> Estimate:
    ruled = [ruling for ruling in rulings if ruling is not None]
    if not ruled:
        reason = f"none of its {len(rulings)} cases is ruled on"
        raise UndefinedEstimate(f"the precision of {version}", reason, "rule on some")
    return rate(sum(ruled), len(ruled))
