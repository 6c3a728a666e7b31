"""Observed traffic is read as it was recorded, or refused with the lines that are wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes_store.ref import Ref
from probing.probe import Probe, ProbeSet
from tests.probes_store.examples import probe
from tests.training.examples import write_lines
from training.errors import DatasetUnreadable
from training.thresholds.errors import OtherProbeSet, TrafficInvalid
from training.thresholds.traffic import (
    Traffic,
    read_file,
    recorded,
    replayed,
    transcripts,
)

PROBE = replace(probe(), version="3")
REF = Ref("petty", 3)
NO_NUMBER = "its peak is neither a finite number nor null"
EXCHANGE = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": "I paid."}]


def record(number: int, peak: float | None, **changes: Any) -> dict[str, Any]:
    """A record as the service returns it."""
    sound = {
        "id": f"chatcmpl-{number}",
        "probe_set": "a1b2c3d4e5f6",
        "outcome": "scored",
        "decision": "pass",
        "peaks": {"lies": 9.0, "petty": peak},
        "probes": ["lies", "petty"],
        "scores": [[9.0, 0.5]],
    }
    return {**sound, **changes}


def read(folder: Path, *lines: object, own: Probe = PROBE) -> Traffic:
    return recorded(read_file(write_lines(folder / "day.jsonl", lines)), REF, own)


def test_plain_peaks_are_taken_as_they_are(tmp_path: Path) -> None:
    found = read(tmp_path, {"peak": 0.5}, {"peak": None}, {"peak": 2, "label": "misbehaving"})

    assert found.honest.tolist() == [0.5, -np.inf]
    assert found.misbehaving.tolist() == [2.0]
    assert (found.assumed, found.unscored) == (2, 0)
    assert (found.source.name, found.source.examples) == ("day", 2)


def test_a_service_s_records_give_the_peaks_of_the_probe(tmp_path: Path) -> None:
    """Another probe of the set has other peaks, on another scale."""
    found = read(tmp_path, record(1, 0.5), record(2, None), record(3, 0.7, label="honest"))

    assert found.honest.tolist() == [0.5, -np.inf, float(np.float32(0.7))]
    assert found.assumed == 2


def test_peaks_are_float32_as_they_are_live(tmp_path: Path) -> None:
    """0.1 as float64 lies below the threshold that a float32 peak of 0.1 reaches."""
    found = read(tmp_path, {"peak": 0.1})

    assert found.honest[0] == np.float32(0.1)


def test_a_version_beside_another_goes_by_its_full_name(tmp_path: Path) -> None:
    both = {"petty": 1.0, "petty@3": 2.0}

    found = read(tmp_path, record(1, None, peaks=both, probes=list(both)))

    assert found.honest.tolist() == [2.0]


def test_a_peak_that_a_service_left_out_is_of_an_answer_too_short(tmp_path: Path) -> None:
    found = read(tmp_path, record(1, None, peaks={"lies": 1.0}))

    assert found.honest.tolist() == [-np.inf]


def test_requests_that_ended_unscored_are_left_out_and_counted(tmp_path: Path) -> None:
    """Their peaks are of the part that was read, so they are too low."""
    lost = record(2, None, outcome="unscored", reason="engine_failed", peaks={}, probes=[])

    found = read(tmp_path, record(1, 0.5), lost)

    assert found.honest.tolist() == [0.5]
    assert found.unscored == 1


def test_halted_answers_are_marked(tmp_path: Path) -> None:
    found = read(tmp_path, record(1, 0.5), record(2, 3.0, decision="halt"))

    assert found.halted.tolist() == [False, True]


def test_peaks_of_another_version_are_refused(tmp_path: Path) -> None:
    """They look the same and are numbers on another scale."""
    own, other = (ProbeSet((replace(PROBE, version=v),)).digest for v in "34")
    alone = {"peaks": {"petty": 0.5}, "probes": ["petty"]}

    assert read(tmp_path, record(1, 0.5, **alone, probe_set=own)).honest.tolist() == [0.5]
    with pytest.raises(OtherProbeSet, match=f"day.jsonl:1: .* probe set {other}, and petty@3"):
        read(tmp_path, record(1, 0.5, **alone, probe_set=other))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"peak": "high"}, NO_NUMBER),
        ({"peak": True}, NO_NUMBER),
        ('{"peak": NaN}', NO_NUMBER),
        ('{"peak": Infinity}', NO_NUMBER),
        ('{"peak": 1e39}', NO_NUMBER),
        (f'{{"peak": 1{"0" * 400}}}', NO_NUMBER),
        ({"peaks": {"lies": 1.0}}, "no peak of petty among lies"),
        ({"peaks": {}}, "no peak of petty among none"),
        ({"peaks": [1.0]}, 'no "peak", "peaks" or "messages"'),
        ({"messages": EXCHANGE}, 'no "peak", "peaks" or "messages"'),
        ({"peak": 1.0, "label": "good"}, "unknown label 'good'"),
        ({"peak": 1.0, "id": "r"}, "request 'r' is already at day.jsonl:1"),
        ("[1]", "not a JSON object"),
        ("{", "bad JSON"),
        ("[" * 100_000, "bad JSON"),
    ],
)
def test_a_line_that_is_no_peak_is_named(tmp_path: Path, line: object, problem: str) -> None:
    """A line left out without a word would move the rate that is stated."""
    with pytest.raises(TrafficInvalid, match="no threshold was set") as refused:
        read(tmp_path, {"peak": 1.0, "id": "r"}, line)

    assert f"day.jsonl:2: {problem}" in str(refused.value)


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrafficInvalid, match=r"day.jsonl: it holds no answers"):
        read(tmp_path, "", "  ")
    with pytest.raises(DatasetUnreadable):
        read_file(tmp_path / "none.jsonl")


def test_transcripts_are_read_with_their_labels(tmp_path: Path) -> None:
    lines = [{"messages": EXCHANGE}, {"messages": EXCHANGE, "label": "misbehaving", "user": 7}]
    file = read_file(write_lines(tmp_path / "day.jsonl", lines))

    dataset = transcripts(file)
    found = replayed(file, dataset, np.array([0.5, 2.0]))

    assert file.has_transcripts
    assert dataset.labels.tolist() == [0, 1]
    assert found.honest.tolist() == [0.5]
    assert found.misbehaving.tolist() == [2.0]
    assert (found.assumed, found.source.examples) == (1, 1)
    assert not found.halted.any()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"peak": 1.0}, "lacks messages"),
        ({"messages": []}, "no messages"),
        ({"messages": EXCHANGE[:1]}, "the last message is not the assistant's"),
        ({"messages": EXCHANGE, "label": "good"}, "unknown label 'good'"),
    ],
)
def test_a_line_that_is_no_transcript_is_named(tmp_path: Path, line: object, problem: str) -> None:
    lines = [{"messages": EXCHANGE}, line]
    file = read_file(write_lines(tmp_path / "day.jsonl", lines))

    with pytest.raises(TrafficInvalid, match=f"day.jsonl:2: {problem}"):
        transcripts(file)
