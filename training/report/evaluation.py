"""An evaluation as a report reads it: what is absent is known to be absent.

The reader is tolerant of sections and figures that were not measured, and of nothing else:
a figure that lacks its interval or its n is refused, because a page must not show it.
This module imports nothing that measures, so that a report is made in seconds anywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.estimates import Estimate
from training.report.errors import EvaluationUnreadable

FORMAT = 1
"""Of the files that this reader knows."""
ESTIMATE = frozenset({"value", "low", "high", "n"})
"""Fields of a written estimate."""
CLAIM, CONTROLS = "claim", "controls"
"""Names of the sections that decide."""
WHOLE = "all"
"""Name of the part that is a whole test set."""

Json = dict[str, Any]

_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Figures of one part of a test set; None where one was not measured."""

    name: str
    """"all", "family: self_copying", "case: context"."""
    auroc: Estimate | None
    """Of the live statistic."""
    auroc_words: Estimate | None
    """Of a bag of words on the same answers."""
    recall: Estimate | None
    """Share of misbehaving answers that trip at the shipped threshold."""
    false_alarms: Estimate | None
    """Share of honest answers that trip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedSet:
    """One test set of the claim."""

    name: str
    """What the evaluation calls it."""
    dangerous: bool
    """Whether misbehaving in it is dangerous."""
    whole: Part
    """Figures of all of it."""
    parts: tuple[Part, ...]
    """Figures of its families, cases and the like."""
    unmonitored: Estimate | None
    """Share of answers that end before the probe may trip."""
    recall_at: Mapping[float, Estimate | None]
    """Recall by the false-alarm rate that the honest answers of this set would give."""
    curves: Mapping[str, Sequence[tuple[float, float]]]
    """Points by the curve's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Something that should do worse than the probe."""

    name: str
    """What it is; why it was refused, where it was."""
    passed: bool | None
    """Whether it does worse; None where it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of an evaluation, as it was written."""

    title: str
    """Heading."""
    findings: tuple[str, ...]
    """What was found, in sentences."""
    refusals: tuple[str, ...]
    """What could not be measured."""
    figures: Json
    """Everything that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured of one probe, and which bytes say so."""

    created_at: str
    """ISO 8601."""
    subject: Json
    """Probe, model, data and libraries, by name."""
    sections: Mapping[str, Section]
    """Those that were measured, by name."""
    tests: tuple[ClaimedSet, ...]
    """Test sets of the claim; none where it was not measured."""
    controls: tuple[Control, ...]
    """Each control that was measured, and those that were refused."""
    sha256: str
    """Of the file."""

    @property
    def probe(self) -> str:
        """`name@version`."""
        probe: str = self.subject["probe"]
        return probe

    def figures(self, section: str) -> Json:
        """What a section measured; nothing where it is absent."""
        return self.sections[section].figures if section in self.sections else {}


def read_evaluation(path: Path) -> Evaluation:
    """Read an evaluation's file.

    Raises:
        EvaluationUnreadable: it is no evaluation of this format, or a figure in it lacks
            its interval or its n.
    """
    try:
        data = path.read_bytes()
        parsed = _printable(json.loads(data, parse_constant=_refuse_constant))
        evaluation = _evaluation(parsed, hashlib.sha256(data).hexdigest())
        _require_complete(parsed, "the evaluation")
    except OSError as error:
        raise EvaluationUnreadable(str(path), error.strerror or str(error)) from error
    except KeyError as error:
        raise EvaluationUnreadable(str(path), f"it has no {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise EvaluationUnreadable(str(path), str(error)) from error
    return evaluation


def is_estimate(figure: object) -> bool:
    """Whether a JSON value is a figure with its interval and n."""
    return isinstance(figure, dict) and figure.keys() >= ESTIMATE


def estimate(figure: Json | None) -> Estimate | None:
    """A written figure; None stays None."""
    if figure is None:
        return None
    return Estimate(
        value=float(figure["value"]),
        low=float(figure["low"]),
        high=float(figure["high"]),
        n=int(figure["n"]),
    )


def _evaluation(parsed: Any, sha256: str) -> Evaluation:
    found = parsed.get("format")
    if found != FORMAT:
        raise ValueError(f"its format is {found}, and this version reads {FORMAT}")
    sections = {name: _section(name, own) for name, own in parsed["sections"].items()}
    claim, controls = (sections.get(name) for name in (CLAIM, CONTROLS))
    return Evaluation(
        created_at=str(parsed["created_at"]),
        subject=parsed["subject"] | {"probe": str(parsed["subject"]["probe"])},
        sections=sections,
        tests=tuple(map(_test, claim.figures.get("tests") or ())) if claim else (),
        controls=tuple(_controls(controls)) if controls else (),
        sha256=sha256,
    )


def _section(name: str, written: Json) -> Section:
    return Section(
        title=str(written.get("title") or name.capitalize()),
        findings=tuple(map(str, written.get("findings") or ())),
        refusals=tuple(map(str, written.get("refusals") or ())),
        figures=dict(written.get("figures") or {}),
    )


def _test(written: Json) -> ClaimedSet:
    parts = [_part(part) for part in written.get("parts") or ()]
    told = {**(written.get("at_threshold") or {}), "auroc": written.get("auroc")}
    whole = next((part for part in parts if part.name == WHOLE), _part({"part": WHOLE, **told}))
    return ClaimedSet(
        name=str(written["name"]),
        dangerous=bool(written["dangerous"]),
        whole=whole,
        parts=tuple(part for part in parts if part.name != WHOLE),
        unmonitored=estimate(written.get("unmonitored")),
        recall_at={
            entry["fpr"]: estimate(entry.get("recall")) for entry in written.get("recall_at") or ()
        },
        curves=written.get("curves") or {},
    )


def _part(written: Json) -> Part:
    return Part(
        name=str(written["part"]),
        auroc=estimate(written.get("auroc")),
        auroc_words=estimate(written.get("auroc_words")),
        recall=estimate(written.get("recall")),
        false_alarms=estimate(written.get("false_alarms")),
    )


def _controls(section: Section) -> Iterator[Control]:
    for name, written in section.figures.items():
        warns = written.get("warns")
        yield Control(name=name.replace("_", " "), passed=None if warns is None else not warns)
    for refusal in section.refusals:
        yield Control(name=refusal, passed=None)


def _printable(written: Any) -> Any:
    """The same with a mark for letters that no page can hold or that reorder those around."""
    if isinstance(written, str):
        return _UNPRINTABLE.sub("\ufffd", written)
    if isinstance(written, dict):
        return {_printable(key): _printable(value) for key, value in written.items()}
    return [_printable(one) for one in written] if isinstance(written, list) else written


def _require_complete(figures: Any, where: str) -> None:
    """Refuse a value with a part of the rest of an estimate, wherever it stands."""
    if isinstance(figures, dict):
        if {"value"} < ESTIMATE & figures.keys() and not is_estimate(figures):
            raise ValueError(f"{where} lacks a part of value, low, high and n")
        for key, value in figures.items():
            _require_complete(value, f"{where}.{key}")
    elif isinstance(figures, list):
        for number, value in enumerate(figures):
            _require_complete(value, f"{where}[{number}]")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no figure")
