"""Thresholds on several kinds of benign answers, how they transfer, and what a statistic means.

The shipped threshold was set on one benign set. Here every kind of benign answer sets its
own, each is judged on the others, two thresholds make a cascade, and the statistic is read
as a probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from probing.errors import ProbingError
from probing.estimates import Estimate
from training.collect import Collected
from training.datasets.schema import Dataset, Example, combine
from training.datasets.splits import grouped_split
from training.evaluation.subject import Json, Peaks, Section, Subject
from training.score import answer_lengths
from training.tables import share
from training.thresholds.bands import Bands, bands, shares
from training.thresholds.probability import Judged, Labelled, judge
from training.thresholds.rates import (
    BenignSet,
    SetThreshold,
    Transfer,
    thresholds,
    transfers,
    tripping,
)

CALIBRATION, HARD, LONG = "calibration", "hard negatives", "long text"
LONG_SHARE = 4
"""One in so many honest answers of the tests, the longest, is long text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """One answer with what it reached live."""

    example: Example
    """What it is."""
    test: str
    """Name of its test set; empty for the calibration set."""
    peak: float
    """-inf where it ends before the probe may trip."""
    tokens: int
    """Length of the answer."""

    @property
    def is_hard(self) -> bool:
        """Honest, and written to look otherwise."""
        return self.example.kind == "hard_negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one half of the section found."""

    figures: Json | None
    findings: list[str]
    refusals: list[str]


def thresholds_section(subject: Subject) -> Section:
    """Where thresholds lie, what they do elsewhere, and what the statistic is worth."""
    answers = _answers(subject)
    sets = list(_benign_sets(answers))
    found = thresholds(sets)
    moved = transfers(sets, found)
    shipped = [(one.name, tripping(one.peaks, subject.probe.threshold)) for one in sets]
    cascade, chances = _cascade(subject, answers, sets), _chances(subject, answers)
    findings = [
        _shipped_finding(subject.probe.threshold, shipped),
        *_transfer_findings(moved),
        *(f'Set on "{row.set_on}": {row.caution}.' for row in found if row.caution),
        *cascade.findings,
        *chances.findings,
    ]
    refused = [f'"{r.set_on}" at {r.fpr:.1%}: {r.refusal}' for r in found if r.refusal]
    return Section(
        name="thresholds",
        title="Thresholds and what they are worth elsewhere",
        findings=findings,
        figures={
            "shipped": {
                "threshold": subject.probe.threshold,
                "rates": [{"judged_on": name, "rate": e.as_json()} for name, e in shipped],
            },
            "thresholds": [row.as_json() for row in found],
            "transfers": [row.as_json() for row in moved],
            "caught": list(_caught(answers, found)),
            "bands": cascade.figures,
            "probability": chances.figures,
        },
        refusals=[*refused, *cascade.refusals, *chances.refusals],
    )


def _answers(subject: Subject) -> list[_Answer]:
    """Every answer outside the fitting set, replayed once."""

    def of(collected: Collected, test: str) -> Iterator[_Answer]:
        rows = zip(
            collected.dataset, subject.peaks(collected), answer_lengths(collected), strict=True
        )
        for example, peak, tokens in rows:
            yield _Answer(example=example, test=test, peak=float(peak), tokens=int(tokens))

    everything = list(of(subject.calibration, ""))
    for test in subject.tests:
        everything += of(test, test.dataset.name)
    return everything


def _benign_sets(answers: Sequence[_Answer]) -> Iterator[BenignSet]:
    """Ordinary answers by where they come from, hard ones apart, and the longest of the tests."""
    honest = [one for one in answers if one.example.label == "honest"]
    groups: dict[str, list[_Answer]] = {}
    for one in honest:
        if not one.is_hard:
            name = f"honest of {one.test}" if one.test else CALIBRATION
            groups.setdefault(name, []).append(one)
    hard = [one for one in honest if one.is_hard]
    groups[HARD] = hard
    families = sorted({one.example.family for one in hard})
    for family in families if len(families) > 1 else ():
        groups[f"{HARD}: {family}"] = [one for one in hard if one.example.family == family]
    tested = sorted((one for one in honest if one.test), key=lambda one: -one.tokens)
    groups[LONG] = tested[: len(tested) // LONG_SHARE]
    for name, members in groups.items():
        if members:
            ids = tuple(one.example.id for one in members)
            yield BenignSet(name=name, peaks=_peaks(members), ids=ids)


def _peaks(answers: Sequence[_Answer]) -> Peaks:
    return np.array([one.peak for one in answers])


def _misbehaving(answers: Sequence[_Answer]) -> dict[str, Peaks]:
    """Misbehaving answers by test set."""
    groups: dict[str, list[_Answer]] = {}
    for one in answers:
        if one.test and one.example.label == "misbehaving":
            groups.setdefault(one.test, []).append(one)
    return {test: _peaks(members) for test, members in groups.items()}


def _caught(answers: Sequence[_Answer], found: Sequence[SetThreshold]) -> Iterator[Json]:
    """What each threshold still catches of the misbehaving answers."""
    for row in found:
        for test, peaks in _misbehaving(answers).items():
            if row.threshold is not None:
                recall = tripping(peaks, row.threshold).as_json()
                yield {"set_on": row.set_on, "fpr": row.fpr, "test": test, "recall": recall}


def _shipped_finding(threshold: float, shipped: Sequence[tuple[str, Estimate]]) -> str:
    """Where the shipped threshold gives the fewest and the most false alarms."""
    ordered = sorted(shipped, key=lambda row: row[1].value)
    ends = [
        f'{share(rate)} of {rate.n:,} answers of "{name}"'
        for name, rate in dict((ordered[0], ordered[-1])).items()
    ]
    return f"The shipped threshold of {threshold:.3f} trips {' and '.join(ends)}."


def _transfer_findings(moved: Sequence[Transfer]) -> Iterator[str]:
    """For each rate, the move to another set after which most answers trip."""
    for fpr in dict.fromkeys(row.fpr for row in moved):
        others = [r for r in moved if r.fpr == fpr and r.set_on != r.judged_on]
        if others:
            worst = max(others, key=lambda row: row.rate.value)
            yield (
                f'Set at {fpr:.1%} on "{worst.set_on}", a threshold trips {share(worst.rate)} of '
                f'{worst.rate.n:,} answers of "{worst.judged_on}", the largest share after a '
                "move from one mix to another."
            )


def _cascade(subject: Subject, answers: Sequence[_Answer], sets: Sequence[BenignSet]) -> _Part:
    """Two thresholds: the lower on harmless misbehaviour where a test has it, as in training."""
    misbehaving = _misbehaving(answers)
    dangerous = {test.dataset.name for test in subject.dangerous}
    harmless = {name: peaks for name, peaks in misbehaving.items() if name not in dangerous}
    set_on = harmless or misbehaving
    try:
        benign = _peaks([one for one in answers if not one.test])
        found = bands(np.concatenate([np.empty(0), *set_on.values()]), benign)
    except ProbingError as error:
        return _Part(figures=None, findings=[], refusals=[f"bands: {error}"])
    traffic = {one.name: one.peaks for one in sets}
    traffic |= {f"misbehaving of {name}": peaks for name, peaks in misbehaving.items()}
    fallen = [shares(found, name, peaks) for name, peaks in traffic.items()]
    figures = found.as_json() | {
        "recall_set_on": list(set_on),
        "fpr_set_on": CALIBRATION,
        "shares": [one.as_json() for one in fallen],
    }
    return _Part(figures=figures, findings=[_cascade_finding(found, set_on)], refusals=[])


def _cascade_finding(found: Bands, set_on: dict[str, Peaks]) -> str:
    promise = (
        f"{share(found.recall)} of {found.recall.n:,} misbehaving answers of "
        f"{' and '.join(set_on)} reach {found.lower:.3f}"
    )
    if found.is_empty:
        return (
            f"No second check is needed for a recall of {found.recall_asked:.0%} at "
            f"{found.fpr_asked:.1%} false alarms: {promise}, which is also the upper threshold."
        )
    return (
        f"A second check between {found.lower:.3f} and {found.upper:.3f} keeps a recall of "
        f"{found.recall_asked:.0%}: {promise}, and {share(found.achieved)} of "
        f"{found.achieved.n:,} calibration answers are acted on without it."
    )


def _chances(subject: Subject, answers: Sequence[_Answer]) -> _Part:
    """The statistic as a probability, fitted on one half of the tests' situations."""
    peaks = {one.example.id: one.peak for one in answers}

    def labelled(part: Dataset) -> Labelled:
        own = np.array([peaks[example.id] for example in part])
        return Labelled(name=part.name, peaks=own, labels=part.labels)

    try:
        whole = combine("the tests", [test.dataset for test in subject.tests])
        fitting, held = map(labelled, grouped_split(whole, 0.5, seed=subject.seed))
        judged = judge(fitting, held)
    except ProbingError as error:
        return _Part(figures=None, findings=[], refusals=[f"probability: {error}"])
    short = held.misbehaving_too_short
    figures: Json = {
        "fitted_on": fitting.able.misbehaving.as_json(),
        "judged_on": held.able.misbehaving.as_json(),
        "misbehaving_too_short": short and short.as_json(),
        "maps": [one.as_json() for one in judged],
    }
    return _Part(figures=figures, findings=[_chances_finding(judged, held)], refusals=[])


def _chances_finding(judged: Sequence[Judged], held: Labelled) -> str:
    scores = ", ".join(
        f"{one.map} {one.brier.value:.4f} [{one.brier.low:.4f}, {one.brier.high:.4f}] "
        f"with a calibration error of {one.error.value:.4f} "
        f"[{one.error.low:.4f}, {one.error.high:.4f}]"
        for one in judged
    )
    able = held.able.misbehaving
    short = len(held.peaks) - able.n
    return (
        f"Read as a probability on {able.n:,} answers in situations that no map was fitted on, "
        f"{able.value:.0%} of them misbehaving, the statistic has these Brier scores: {scores}; "
        f"{short} answers too short to trip have no probability."
    )
