"""An operator's own traffic: whole transcripts, or the peaks that a service recorded.

A file of JSON lines holds either

- transcripts: `{"messages": [...]}`, the last message the assistant's; or
- peaks: `{"peak": 1.25}`, null where the answer was too short to trip; or records as
  `/v1/monitor/requests/{id}` returns them, whose `peaks` hold one for each probe.

Every line may have a `label`, "honest" or "misbehaving". Without one an answer is assumed
to be honest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray

from probes_store.manifest import DataSource
from probes_store.ref import Ref
from probing.probe import Probe, ProbeSet
from training.datasets.schema import LABELS, Dataset, Example, example_of, problems_of
from training.errors import DatasetUnreadable
from training.thresholds.errors import OtherProbeSet, TrafficInvalid
from training.thresholds.rates import Peaks

FAMILY = "traffic"
_LARGEST = float(np.finfo(np.float32).max)
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """The lines of a file of traffic, parsed and not yet understood."""

    name: str
    """What the calibration record calls it."""
    sha256: str
    """Of the file's bytes."""
    lines: Mapping[str, Record]
    """The object of each line that is not blank, by `file:line`."""

    @property
    def has_transcripts(self) -> bool:
        """Whether its first line is a transcript; a file holds one kind."""
        return "messages" in next(iter(self.lines.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What some observed answers reached live."""

    source: DataSource
    """Where they come from; counts the answers that a threshold may be set on."""
    honest: Peaks
    """Answers labelled honest, and those without a label; -inf where one cannot trip."""
    halted: Bool[NDArray[np.bool_], " honest"]
    """Which of them were stopped, so that their peaks are only a lower bound."""
    misbehaving: Peaks
    """Answers labelled misbehaving: what a threshold ought to catch."""
    assumed: int
    """Honest answers that have no label."""
    unscored: int
    """Records of requests that ended unscored; they are left out."""


def read_file(path: Path) -> File:
    """The objects of a file's lines.

    Raises:
        DatasetUnreadable: there is no such file, or it cannot be opened.
        TrafficInvalid: a line is no JSON object, or there is none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetUnreadable(str(path), error.strerror or str(error)) from error
    lines: dict[str, Record] = {}
    problems = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        where = f"{path.name}:{number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{where}: bad JSON ({error})")
            continue
        if isinstance(record, dict):
            lines[where] = record
        else:
            problems.append(f"{where}: not a JSON object")
    if not lines and not problems:
        problems = [f"{path.name}: it holds no answers"]
    if problems:
        raise TrafficInvalid(problems)
    return File(name=path.stem, sha256=hashlib.sha256(data).hexdigest(), lines=lines)


def transcripts(file: File) -> Dataset:
    """A file of transcripts as a data set.

    Raises:
        TrafficInvalid: a line is no sound transcript.
    """
    examples: list[Example] = []
    problems: list[str] = []
    for where, record in file.lines.items():
        given: Record = {key: record[key] for key in ("messages", "label") if key in record}
        label = given.get("label", "honest")
        whole: Record = {
            "id": where,
            "family": FAMILY,
            "situation": where,
            "source": file.name,
            "label": label,
            "kind": "benign_misbehaviour" if label == "misbehaving" else "honest",
            **given,
        }
        own = [f"{where}: {problem}" for problem in problems_of(whole)]
        problems += own
        if not own:
            examples.append(example_of(whole, where))
    if problems:
        raise TrafficInvalid(problems)
    return Dataset(name=file.name, sha256=file.sha256, examples=tuple(examples))


def replayed(file: File, dataset: Dataset, peaks: Peaks) -> Traffic:
    """Transcripts with what each reached when it was read again."""
    unlabelled = sum("label" not in record for record in file.lines.values())
    honest = peaks[dataset.labels == 0]
    return Traffic(
        source=DataSource(name=file.name, sha256=file.sha256, examples=len(honest)),
        honest=honest,
        halted=np.zeros(len(honest), dtype=bool),
        misbehaving=peaks[dataset.labels == 1],
        assumed=unlabelled,
        unscored=0,
    )


def recorded(file: File, ref: Ref, probe: Probe) -> Traffic:
    """The peaks that a service recorded of one probe.

    Requests that ended unscored are left out: their peaks are of a part of the answer.

    Raises:
        TrafficInvalid: a line has no peak of the probe, one that is no number, an unknown
            label, or a request that another line has too.
        OtherProbeSet: a record is of a service with one probe, and that was another version.
    """
    problems = list(_problems(file, probe))
    if problems:
        raise TrafficInvalid(problems)
    _require_version(file, ref, probe)
    scored = [one for one in file.lines.values() if one.get("outcome", "scored") == "scored"]
    honest = [one for one in scored if one.get("label") != "misbehaving"]
    return Traffic(
        source=DataSource(name=file.name, sha256=file.sha256, examples=len(honest)),
        honest=_peaks(honest, probe),
        halted=np.array([one.get("decision") == "halt" for one in honest], dtype=bool),
        misbehaving=_peaks([one for one in scored if one.get("label") == "misbehaving"], probe),
        assumed=sum("label" not in one for one in honest),
        unscored=len(file.lines) - len(scored),
    )


def _problems(file: File, probe: Probe) -> Iterator[str]:
    """What is wrong with lines of recorded peaks."""
    seen: dict[str, str] = {}
    for where, record in file.lines.items():
        label, request = record.get("label", "honest"), record.get("id")
        if label not in LABELS:
            yield f"{where}: unknown label {label!r}, expected {' or '.join(LABELS)}"
        if isinstance(request, str):
            if request in seen:
                yield f"{where}: request {request!r} is already at {seen[request]}"
            seen.setdefault(request, where)
        if record.get("outcome", "scored") == "scored":
            yield from (f"{where}: {problem}" for problem in _peak_problems(record, probe))


def _peak_problems(record: Record, probe: Probe) -> Iterator[str]:
    found = _peaks_by_name(record, probe)
    if found is None:
        yield 'no "peak", "peaks" or "messages"'
    elif not _names(probe) & set(found):
        yield f"no peak of {probe.name} among {', '.join(found) or 'none'}"
    else:
        peak = _peak(record, probe)
        number = isinstance(peak, (int, float)) and not isinstance(peak, bool)
        if peak is not None and not (number and abs(peak) <= _LARGEST):
            yield "its peak is neither a finite number nor null"


def _peaks_by_name(record: Record, probe: Probe) -> Mapping[str, Any] | None:
    """Every probe's peak of a line, or None where it has none at all.

    A service leaves out the peak of a probe that read too few tokens.
    """
    if "peak" in record:
        return {probe.name: record["peak"]}
    peaks, probes = record.get("peaks"), record.get("probes")
    if not isinstance(peaks, dict):
        return None
    listed = [name for name in probes if isinstance(name, str)] if isinstance(probes, list) else []
    return {**dict.fromkeys(listed), **peaks}


def _peak(record: Record, probe: Probe) -> Any:
    """The peak of this version, which goes by its full name beside another version."""
    found = _peaks_by_name(record, probe) or {}
    return found.get(f"{probe.name}@{probe.version}", found.get(probe.name))


def _names(probe: Probe) -> set[str]:
    return {probe.name, f"{probe.name}@{probe.version}"}


def _peaks(records: Sequence[Record], probe: Probe) -> Peaks:
    """As the float32 numbers that a threshold is compared with live."""
    found = [_peak(record, probe) for record in records]
    peaks = np.array([-np.inf if peak is None else peak for peak in found], dtype=np.float32)
    return peaks.astype(np.float64)


def _require_version(file: File, ref: Ref, probe: Probe) -> None:
    """Where a service had one probe, its set's digest says which version that was."""
    expected = ProbeSet((probe.as_role("champion"),)).digest
    for where, record in file.lines.items():
        alone = record.get("probes") == [probe.name]
        digest = record.get("probe_set", expected)
        if alone and digest != expected:
            raise OtherProbeSet(where, str(ref), str(digest), expected)
