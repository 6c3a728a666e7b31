"""An archive is scored as it would have been judged live: whole, in order, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import training.scale.archive as archive_module
import training.scale.scoring as scoring_module
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.bank import ProbeBank
from probing.errors import GoldenMismatch, ProbingError, ReadingMismatch, TemplateError
from probing.estimates import UndefinedEstimate
from probing.model import LoadedModel
from probing.monitor import replay
from probing.probe import ProbeSet
from probing.prompt import render_exchange
from probing.reader import Inputs, Reader
from tests.training.scale.archives import BAD, read, transcripts, written
from training.errors import NonFiniteReading, NothingToRead, TextTooLong
from training.scale.archive import Chunk
from training.scale.errors import (
    ArchiveUnreadable,
    OutputExists,
    OutputOfAnother,
    TranscriptUnusable,
)
from training.scale.rescore import Tally, rescore
from training.scale.scoring import Outcome, Scored, Scorer

QUIET = Console(file=StringIO())
STORE = ProbeStore(Path("nowhere"))
ARTIFACT = STORE.load(Ref("magpie-petty"))


@pytest.fixture(scope="module")
def scorer(magpie: LoadedModel) -> Scorer:
    return Scorer(magpie, ARTIFACT)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return transcripts(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "CHUNK_LINES", 4)


def run(archive: Path, out: Path, scorer: Scorer, **changes: Any) -> Tally:
    asked = {"work": partial(map, scorer), "resume": False, "skip_bad": False, **changes}
    return rescore(archive, out, scorer=scorer, console=QUIET, **asked)


def test_a_score_is_what_the_monitor_would_have_said_live(
    magpie: LoadedModel, scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Read alone, token by token through the same aggregator, from the answer's first on."""
    probe, out = ARTIFACT.probe, tmp_path / "scores.jsonl"

    tally = run(written(tmp_path / "a.jsonl", records), out, scorer)

    bank = ProbeBank(ProbeSet((probe,)))
    for record, row in zip(records, read(out), strict=True):
        rendered = render_exchange(magpie.tokenizer, record["messages"])
        with Reader(magpie, probe.sites) as reader:
            readings = reader.forward(Inputs(input_ids=torch.tensor([rendered.token_ids]))).readings
        scores = bank.score(readings)[0, rendered.response_start :].numpy()
        live = replay(probe, scores)
        assert row["peak"] == pytest.approx(live.peak, abs=1e-4)
        told = {key: row[key] for key in ("id", "tripped_at", "tripped", "tokens", "probe")}
        assert told == {
            "id": record["id"],
            "tripped_at": live.tripped_at,
            "tripped": live.tripped_at is not None,
            "tokens": len(scores),
            "probe": str(ARTIFACT.ref),
        }
    rows = read(out)
    assert (tally.scored, tally.tripped) == (len(records), sum(row["tripped"] for row in rows))
    assert 0 < tally.tripped < tally.scored
    assert tally.as_json()["tripped"]["n"] == len(records)


def test_an_answer_that_ends_before_the_probe_may_trip_has_no_peak(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    """-inf is no JSON, and 0 would be a score."""
    short = {**records[0], "messages": [*records[0]["messages"][:-1], _answer("I")]}

    tally = run(written(tmp_path / "a.jsonl", [short]), tmp_path / "out", scorer)

    (row,) = read(tmp_path / "out")
    assert (row["peak"], row["tripped"], row["tripped_at"]) == (None, False, None)
    assert tally.too_short == 1


@pytest.mark.parametrize("kind", BAD)
def test_a_line_that_cannot_be_scored_is_named_by_its_number(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path, kind: str
) -> None:
    """What stands before it is written, and nothing behind it."""
    line, says = BAD[kind]
    archive = written(tmp_path / "a.jsonl", [*records[:2], b"", line, *records[2:4]])

    with pytest.raises(TranscriptUnusable, match=r"a\.jsonl:4: ") as caught:
        run(archive, tmp_path / "out", scorer)

    assert says in str(caught.value)
    assert [row["id"] for row in read(tmp_path / "out")] == [r["id"] for r in records[:2]]


@pytest.mark.parametrize(
    "refusal",
    [TextTooLong("a.jsonl:1", 9, 8), NothingToRead("a.jsonl:1"), TemplateError("not this role")],
    ids=lambda error: error.code,
)
def test_what_this_model_cannot_read_is_a_bad_line_and_its_place_is_told_once(
    scorer: Scorer,
    records: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: ProbingError,
) -> None:
    """One transcript that was made for another model must not end the whole run."""

    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(scoring_module, "render", refuse)
    archive = written(tmp_path / "a.jsonl", records[:1])

    tally = run(archive, tmp_path / "out", scorer, skip_bad=True)

    assert tally.problems == [f"a.jsonl:1: {str(refusal).removeprefix('a.jsonl:1: ')}"]


def test_bad_lines_are_left_out_only_when_asked_for_and_are_counted(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path, small_chunks: None
) -> None:
    """A transcript that vanishes without a count looks as if it had been judged."""
    lines = [line for line, _ in BAD.values()]
    archive = written(tmp_path / "a.jsonl", [*records[:3], *lines, *records[3:6]])

    tally = run(archive, tmp_path / "out", scorer, skip_bad=True)

    assert [row["id"] for row in read(tmp_path / "out")] == [r["id"] for r in records[:6]]
    assert (tally.scored, tally.skipped) == (6, len(BAD))
    assert tally.problems[0].startswith("a.jsonl:4: bad JSON")
    assert len(tally.problems) == 5


@pytest.mark.parametrize("torn", [0, 1, 30])
@pytest.mark.parametrize("finished", [0, 3, 4, 9])
def test_a_resumed_output_is_byte_for_byte_that_of_an_uninterrupted_run(
    scorer: Scorer,
    records: list[dict[str, Any]],
    tmp_path: Path,
    small_chunks: None,
    finished: int,
    torn: int,
) -> None:
    """Killed between two lines or within one, with blank and bad lines on the way.

    How a score rounds depends on who is read beside it; here it shows on any machine.
    """

    def rounding(todo: Sequence[Chunk]) -> Iterator[list[Outcome]]:
        for chunk in todo:
            first = next(chunk.read()).number
            yield [_raised(outcome, by=first) for outcome in scorer(chunk)]

    bad = BAD["too long"][0]
    lines = [records[0], bad, *records[1:3], b"", records[3], b"{", *records[4:10], bad]
    archive = written(tmp_path / "a.jsonl", lines)
    whole = run(archive, tmp_path / "whole", scorer, skip_bad=True, work=rounding)
    rows = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    (tmp_path / "out").write_bytes(b"".join(rows[:finished]) + rows[finished][:torn])

    tally = run(archive, tmp_path / "out", scorer, skip_bad=True, resume=True, work=rounding)

    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert tally == whole


def test_a_finished_output_is_resumed_without_scoring_anything(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    archive = written(tmp_path / "a.jsonl", records[:3])
    first = run(archive, tmp_path / "out", scorer)

    def refuse(todo: Sequence[Chunk]) -> Iterator[list[Outcome]]:
        assert not todo
        return iter(())

    again = run(archive, tmp_path / "out", scorer, resume=True, work=refuse)

    assert (again.scored, again.tripped) == (first.scored, first.tripped)


def test_an_output_that_exists_is_not_written_over(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    archive = written(tmp_path / "a.jsonl", records[:2])
    (tmp_path / "out").write_text("hours of work")

    with pytest.raises(OutputExists, match="go on with an interrupted run with --resume"):
        run(archive, tmp_path / "out", scorer)

    assert (tmp_path / "out").read_text() == "hours of work"


def test_a_line_added_to_the_archive_meanwhile_is_noticed(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    """It would never be scored, and the output would look complete."""
    run(written(tmp_path / "a.jsonl", records[:4]), tmp_path / "out", scorer)
    changed = written(tmp_path / "a.jsonl", [*records[:2], records[5], *records[2:4]])
    kept = (tmp_path / "out").read_bytes()

    with pytest.raises(OutputOfAnother, match="in its line 3, the id is"):
        run(changed, tmp_path / "out", scorer, resume=True)

    assert (tmp_path / "out").read_bytes() == kept


def test_an_archive_that_became_shorter_is_noticed(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    run(written(tmp_path / "a.jsonl", records[:4]), tmp_path / "out", scorer)

    with pytest.raises(OutputOfAnother, match=r"in its line 3, the id is .* has ended"):
        run(written(tmp_path / "a.jsonl", records[:2]), tmp_path / "out", scorer, resume=True)


@pytest.mark.parametrize("line", [b"{}\n", b"null\n", b"x\n", b'"x"\n'])
def test_something_else_than_scores_is_not_resumed(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path, line: bytes
) -> None:
    (tmp_path / "out").write_bytes(line)

    with pytest.raises(OutputOfAnother, match="there is no score by magpie-petty@1"):
        run(written(tmp_path / "a.jsonl", records[:2]), tmp_path / "out", scorer, resume=True)

    assert (tmp_path / "out").read_bytes() == line


def test_another_probes_scores_are_not_resumed(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    """One file with the scores of two probes has no threshold."""
    archive = written(tmp_path / "a.jsonl", records[:2])
    run(archive, tmp_path / "out", scorer)
    text = (tmp_path / "out").read_text().replace("magpie-petty@1", "magpie-petty@2")
    (tmp_path / "out").write_text(text)

    with pytest.raises(OutputOfAnother, match="in its line 1"):
        run(archive, tmp_path / "out", scorer, resume=True)


def test_every_chunk_is_written_before_the_next_is_scored(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path, small_chunks: None
) -> None:
    """An archive is larger than memory, and a kill must lose no more than a chunk."""
    out, seen = tmp_path / "out", []

    def watched(todo: Sequence[Chunk]) -> Iterator[list[Outcome]]:
        for chunk in todo:
            seen.append(len(read(out)))
            yield scorer(chunk)

    run(written(tmp_path / "a.jsonl", records[:10]), out, scorer, work=watched)

    assert seen == [0, 4, 8]


def test_a_chunk_that_nobody_gave_back_stops_everything(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path, small_chunks: None
) -> None:
    """The output would look complete, and the summary would count what there is."""
    archive = written(tmp_path / "a.jsonl", records[:8])

    with pytest.raises(ValueError, match="shorter"):
        run(archive, tmp_path / "out", scorer, work=lambda todo: map(scorer, todo[:1]))


def test_a_peak_that_is_no_number_is_not_written(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    """NaN is no JSON, and a reader that takes it for a number counts it as harmless."""
    broken = Scored(id="x", peak=float("nan"), tripped_at=None, tokens=3)
    archive = written(tmp_path / "a.jsonl", records[:1])

    with pytest.raises(ValueError, match="not JSON compliant"):
        run(archive, tmp_path / "out", scorer, work=lambda todo: [[broken]])

    assert (tmp_path / "out").read_bytes() == b""


def test_an_archive_without_a_transcript_has_no_rate(scorer: Scorer, tmp_path: Path) -> None:
    tally = run(written(tmp_path / "a.jsonl", [b"", b""]), tmp_path / "out", scorer)

    with pytest.raises(UndefinedEstimate):
        tally.as_json()


def test_an_archive_that_is_not_there_is_told(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(ArchiveUnreadable, match=": No such file or directory; expected a file"):
        run(tmp_path / "none.jsonl", tmp_path / "out", scorer)

    assert not (tmp_path / "out").exists()


def test_one_score_that_is_not_finite_stops_everything(
    magpie: LoadedModel,
    records: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """nan >= threshold is False: it would be counted as harmless, even with --skip-bad."""
    scorer = Scorer(magpie, ARTIFACT)
    real = scorer._bank.score

    def broken_at_the_end(readings: Any) -> torch.Tensor:
        scores = real(readings)
        scores[-1] = torch.nan
        return scores

    monkeypatch.setattr(scorer._bank, "score", broken_at_the_end)

    with pytest.raises(NonFiniteReading, match=r"a\.jsonl:1: "):
        run(written(tmp_path / "a.jsonl", records[:2]), tmp_path / "out", scorer, skip_bad=True)


def test_a_forward_pass_is_no_larger_than_it_may_be(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole chunk at once may not fit into memory beside a large model."""
    rows, real = [], Reader.read

    def noted(reader: Reader, input_ids: torch.Tensor) -> Any:
        rows.append(len(input_ids))
        return real(reader, input_ids)

    monkeypatch.setattr(Reader, "read", noted)
    monkeypatch.setattr(scoring_module, "TOKENS_MAX", 1)
    run(written(tmp_path / "a.jsonl", records[:4]), tmp_path / "out", scorer)

    assert rows == [1, 1, 1, 1]


def test_a_probe_refuses_another_model_and_a_machine_that_reads_otherwise(
    magpie: LoadedModel,
) -> None:
    """Each worker would score with numbers of the right shape and no meaning."""
    other = replace(magpie, spec=replace(magpie.spec, config="other"))
    golden = replace(
        ARTIFACT.golden, scores=tuple(scores + np.float32(1) for scores in ARTIFACT.golden.scores)
    )

    with pytest.raises(ReadingMismatch):
        Scorer(other, ARTIFACT)
    with pytest.raises(GoldenMismatch):
        Scorer(magpie, replace(ARTIFACT, golden=golden))


def _raised(outcome: Outcome, *, by: float) -> Outcome:
    if isinstance(outcome, Scored) and outcome.peak is not None:
        return replace(outcome, peak=outcome.peak + by)
    return outcome


def _answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def test_ids_survive_as_they_are(
    scorer: Scorer, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A lone surrogate is legal JSON, and a line break in an id must not become one in a file."""
    odd = [{**records[0], "id": name} for name in ("\ud800", "a\nb", 'é"', "a\u2028b")]

    run(written(tmp_path / "a.jsonl", odd), tmp_path / "new" / "out", scorer)

    lines = (tmp_path / "new" / "out").read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["id"] for line in lines] == [one["id"] for one in odd]
