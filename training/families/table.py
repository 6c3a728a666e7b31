"""All probe families, by the name that a user gives."""

from __future__ import annotations

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


def probe_family(name: str) -> ProbeFamily:
    """The family of a name.

    Raises:
        InvalidSpecification: there is none; names those that there are.
    """
    for one in PROBE_FAMILIES:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in PROBE_FAMILIES)
    raise InvalidSpecification("probe family", name, f"one of {names}")
