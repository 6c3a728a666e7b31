"""Whether a new version of a probe lost what its parent could do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.evaluation.claim import told
from training.evaluation.subject import Json

LOSS_MAX = 0.02
"""Of AUROC or recall, anywhere."""
FIGURES = ("auroc", "recall")
NAMING = ("name", "part", "fpr")
"""Keys that say which one of a list an entry is; a list without them, such as points of a
plot, is not compared."""
_ROUNDING = 1e-9


def regressions(new: Json, parent: Json) -> list[str]:
    """What a new version lost against its parent, each loss with both figures.

    Args:
        new: figures of some sections of its evaluation, which speak of the probe itself and
            not of controls, whose areas are better the lower they are.
        parent: the same sections of its parent's.

    Returns:
        One sentence for each AUROC and recall that is more than `LOSS_MAX` below the
        parent's, or that the parent has and the new version does not: what is no longer
        measured may be lost. Empty where the new version may stand.
    """
    now = dict(_figures(new))
    losses = []
    for place, before in _figures(parent):
        after = now.get(place)
        if after is None or before["value"] - after["value"] > LOSS_MAX + _ROUNDING:
            losses.append(f"{', '.join(place)}: {told(after)}, and {told(before)} in the parent")
    return losses


def _figures(tree: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every estimate of `FIGURES` with the names that lead to it."""
    for key, value in _named(tree):
        if key not in FIGURES or not isinstance(value, dict):
            yield from _figures(value, (*place, key))
        elif "value" in value:
            yield (*place, key), value


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        yield from tree.items()
    elif isinstance(tree, list):
        for entry in tree:
            names = [str(entry[k]) for k in NAMING if k in entry] if isinstance(entry, dict) else []
            if names:
                yield " ".join(names), entry
