"""What changed since another evaluation; losses are named, not averaged away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from probing.estimates import Estimate
from training.report.evaluation import Evaluation
from training.report.rule import FIGURES, figure_of
from training.report.shown import Unit, shown, unit_of

LABELS = {
    "recall": "caught",
    "false_alarms": "false alarms",
    "auroc": "AUROC",
    "unmonitored": "too short to be judged",
}
RISING_IS_WORSE = frozenset({"false_alarms", "unmonitored"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of one test set, before and now."""

    of: str
    """The test set."""
    label: str
    """The figure, for people."""
    unit: Unit
    """What it counts."""
    before: Estimate | None
    """None where it was not measured."""
    now: Estimate | None
    """None where it is no longer measured."""
    verdict: str
    """`better`, `worse`, `same`, `new` or `no longer measured`."""

    @property
    def apart(self) -> bool:
        """Whether the two intervals do not overlap, so that chance hardly explains it."""
        if self.before is None or self.now is None:
            return False
        return self.now.high < self.before.low or self.before.high < self.now.low

    @property
    def loss(self) -> str | None:
        """In a sentence, where something was lost."""
        if self.verdict == "no longer measured":
            return f"{self.of}, {self.label}: measured before and not now."
        if self.verdict != "worse" or self.before is None or self.now is None:
            return None
        told = (
            "the intervals do not overlap"
            if self.apart
            else "the intervals overlap, so this may be chance"
        )
        before, now = shown(self.before, self.unit), shown(self.now, self.unit)
        return f"{self.of}, {self.label}: {before} before, {now} now; {told}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two evaluations side by side."""

    before: Evaluation
    """The older one."""
    rows: tuple[Change, ...]
    """Figures by test set."""
    losses: tuple[str, ...]
    """Everything that got worse or is no longer measured, in sentences."""
    cautions: tuple[str, ...]
    """Why figures may not be comparable."""


def compare(before: Evaluation, now: Evaluation) -> Comparison:
    """Put two evaluations side by side."""
    rows = tuple(_rows(before, now))
    lost = [row.loss for row in rows]
    return Comparison(
        before=before,
        rows=rows,
        losses=(*(loss for loss in lost if loss), *_lost_controls(before, now)),
        cautions=tuple(_cautions(before, now)),
    )


def _rows(before: Evaluation, now: Evaluation) -> Iterator[Change]:
    old, new = ({test.name: test for test in e.tests} for e in (before, now))
    for name in {**new, **old}:
        for figure in FIGURES:
            was = figure_of(old[name], figure) if name in old else None
            is_now = figure_of(new[name], figure) if name in new else None
            if was is not None or is_now is not None:
                yield Change(
                    of=name,
                    label=LABELS[figure],
                    unit=unit_of(figure),
                    before=was,
                    now=is_now,
                    verdict=_verdict(was, is_now, rising_is_worse=figure in RISING_IS_WORSE),
                )


def _verdict(before: Estimate | None, now: Estimate | None, *, rising_is_worse: bool) -> str:
    if now is None:
        return "no longer measured"
    if before is None:
        return "new"
    if now.value == before.value:
        return "same"
    return "worse" if (now.value > before.value) == rising_is_worse else "better"


def _lost_controls(before: Evaluation, now: Evaluation) -> Iterator[str]:
    outcomes = {control.name: control.passed for control in now.controls}
    for control in before.controls:
        if control.passed and not outcomes.get(control.name):
            failed = outcomes.get(control.name) is False
            yield (
                f"Control {control.name}: passed before and "
                f"{'not now' if failed else 'is no longer measured'}."
            )


def _cautions(before: Evaluation, now: Evaluation) -> Iterator[str]:
    if before.subject.get("fingerprint") != now.subject.get("fingerprint"):
        yield "The model is not the same: its fingerprint differs."
    old, new = (
        {d["name"]: d["sha256"] for d in e.subject.get("data") or () if d["role"] == "tested"}
        for e in (before, now)
    )
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"The answers of {name} are not the same: their SHA-256 differs."
