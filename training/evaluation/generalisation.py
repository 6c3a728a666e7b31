"""Whether what one family teaches carries over to another.

The matrix fits the recipe on one family and tests it on each; leaving one out fits it on
all the others. What is tested is in no case what was fitted on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from probing.estimates import Estimate, auroc
from probing.probe import Probe
from training.collect import Collected
from training.datasets.schema import LABELS
from training.datasets.splits import require_families_apart
from training.errors import SituationLeak
from training.evaluation.claim import told
from training.evaluation.subject import Section, Subject
from training.families.family import Answers, Examples
from training.live import peaks_of_many
from training.progress import progress

ANSWERS_MIN = 10
"""Of each label in a family, below which it is neither fitted on nor tested."""

TITLE = "From family to family"
BUT = "all but "
"""Begins the name of a probe that was fitted on all families but one."""

Row = dict[str, Estimate]


def generalisation(subject: Subject) -> Section:
    """Train family by test family, and each family left out in turn."""
    fitted = _by_family(subject.fitting)
    if not fitted:
        return _refused(f"no family has {ANSWERS_MIN} answers of each label to fit on")
    try:
        require_families_apart(subject.fitting.dataset)
    except SituationLeak as leak:
        return _refused(str(leak))
    everything = np.arange(len(subject.fitting.dataset))
    chosen = dict(fitted) | {
        f"{BUT}{family}": np.setdiff1d(everything, own) for family, own in fitted.items()
    }
    probes = _fit_all(subject, chosen)
    tested = _tested(subject, probes)
    matrix = {family: tested[family] for family in fitted}
    left_out = {family: tested[f"{BUT}{family}"][family] for family in fitted}
    dangerous = {e.family for test in subject.dangerous for e in test.dataset}
    columns = list(dict.fromkeys(name for row in matrix.values() for name in row))
    return Section(
        name="generalisation",
        title=TITLE,
        findings=list(_findings(matrix, left_out, dangerous)),
        figures={
            "matrix": {name: _as_json(row) for name, row in matrix.items()},
            "left_out": _as_json(left_out),
            "families": {n: "dangerous" if n in dangerous else "benign" for n in columns},
        },
    )


def _refused(reason: str) -> Section:
    return Section(
        name="generalisation",
        title=TITLE,
        findings=[],
        figures={"matrix": {}, "left_out": {}, "families": {}},
        refusals=[reason],
    )


def _fit_all(subject: Subject, chosen: Mapping[str, Examples]) -> dict[str, Probe]:
    """The recipe on each choice of examples of the fitting set."""
    answers = Answers(subject.fitting, subject.recipe.sites)
    probes = {}
    with progress(subject.console, "fitting families", len(chosen), "fits") as advance:
        for name, examples in chosen.items():
            probes[name] = subject.recipe.fit(answers, examples, seed=subject.seed)
            advance(1)
    return probes


def _tested(subject: Subject, probes: Mapping[str, Probe]) -> dict[str, Row]:
    """Each probe's AUROC on families: of the test sets, else of what it was not fitted on."""
    found: dict[str, Row] = defaultdict(dict)
    for collected in (*subject.tests, subject.fitting):
        own = _by_family(collected)
        peaks = peaks_of_many(collected, list(probes.values()))
        labels = collected.dataset.labels
        for column, name in enumerate(probes):
            for family, examples in own.items():
                seen = collected is subject.fitting and _fitted_on(name, family)
                if not seen and family not in found[name]:
                    area = auroc(peaks[examples, column], labels[examples])
                    found[name][family] = area
    return found


def _fitted_on(name: str, family: str) -> bool:
    """Whether a probe's name says that a family of the fitting set is what it was fitted on."""
    left_out = name.removeprefix(BUT)
    return family == name if left_out == name else family != left_out


def _by_family(collected: Collected) -> dict[str, Examples]:
    """Examples of each family with enough of both labels."""
    members: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(collected.dataset):
        members[example.family].append(number)
    labels = collected.dataset.labels
    return {
        family: np.array(own)
        for family, own in sorted(members.items())
        if min(np.bincount(labels[own], minlength=len(LABELS))) >= ANSWERS_MIN
    }


def _findings(matrix: Mapping[str, Row], left_out: Row, dangerous: set[str]) -> Iterator[str]:
    carried = [
        (area.value, source, target)
        for source, row in matrix.items()
        for target, area in row.items()
        if target in dangerous
    ]
    if carried:
        middle = float(np.median([value for value, _, _ in carried]))
        value, source, target = min(carried)
        yield (
            f"Fitted on one harmless family alone, the recipe reaches a median AUROC of "
            f"{middle:.3f} over {len(carried)} pairs of a harmless and a dangerous family; the "
            f"lowest is {value:.3f}, from {source} to {target}."
        )
    if left_out:
        worst = min(left_out, key=lambda family: left_out[family].value)
        yield (
            f"Fitted on all harmless families but one, it is weakest on {worst}: "
            f"AUROC {told(left_out[worst].as_json())}."
        )


def _as_json(row: Row) -> dict[str, dict[str, float | int]]:
    return {name: area.as_json() for name, area in row.items()}
