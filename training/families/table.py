"""All probe families, by the name that a user gives."""

from __future__ import annotations

from collections.abc import Sequence

from probing.errors import InvalidSpecification
from training.families import (
    attention,
    difference_of_means,
    discriminant,
    indicators,
    kinds,
    logistic_regression,
    multimax,
    network,
    rolling_attention,
    softmax_loss,
    stack,
    token_regression,
)
from training.families.family import ProbeFamily

PROBE_FAMILIES: tuple[ProbeFamily, ...] = (
    logistic_regression.FAMILY,
    difference_of_means.FAMILY,
    discriminant.FAMILY,
    token_regression.FAMILY,
    softmax_loss.FAMILY,
    stack.FAMILY,
    network.FAMILY,
    attention.FAMILY,
    multimax.FAMILY,
    rolling_attention.FAMILY,
    kinds.FAMILY,
    indicators.FAMILY,
)


NAMES = tuple(family.name for family in PROBE_FAMILIES)


def probe_family(name: str) -> ProbeFamily:
    """The family of a name.

    Raises:
        InvalidSpecification: there is none; names those that there are.
    """
    if name not in NAMES:
        raise InvalidSpecification("probe family", name, f"all, or one of {', '.join(NAMES)}")
    return PROBE_FAMILIES[NAMES.index(name)]


def probe_families(names: Sequence[str]) -> tuple[ProbeFamily, ...]:
    """Those that are named, each once, or every one for `all`.

    Raises:
        InvalidSpecification: there is none of a name.
    """
    if "all" in names:
        return PROBE_FAMILIES
    return tuple(probe_family(name) for name in dict.fromkeys(names))
