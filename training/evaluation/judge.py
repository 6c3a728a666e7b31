"""Scores of a judge that reads the texts, from a file, beside the probe's.

A file of JSON lines, `{"id": ..., "score": ...}`: the id of a test example, and a finite
number that is higher the more the answer misbehaves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from probing.estimates import auroc
from training.errors import DatasetInvalid, DatasetUnreadable
from training.evaluation.control import Control, ControlUndefined, Figure


def judged(figure: Figure, file: Path) -> Control:
    """The judge and the probe on those test examples that the judge has scored.

    Raises:
        DatasetUnreadable, DatasetInvalid: the file cannot serve.
        ControlUndefined: it scores none of the test set's examples.
        UndefinedEstimate: those it scores lack a class.
    """
    scores, dataset = load_scores(file), figure.collected.dataset
    known = np.array([example.id in scores for example in dataset])
    if not known.any():
        raise ControlUndefined(
            f"scores of the examples of {figure.name}", "none", "score them by their ids"
        )
    own = np.array([scores[e.id] for e in dataset if e.id in scores])
    area = auroc(own, dataset.labels[known])
    probe = auroc(figure.peaks[known], dataset.labels[known])
    return Control(
        figures={"probe": probe.as_json(), "judge": area.as_json(), "file": file.name},
        sentence=(
            f"The judge of {file.name} has AUROC {area} on the {area.n} of {len(dataset)} answers "
            f"of {figure.name} that it scores; the probe has {probe} on the same."
        ),
        warns=area.value > probe.high,
    )


def load_scores(file: Path) -> dict[str, float]:
    """The score of each id.

    Raises:
        DatasetUnreadable: there is no such file, or it is not UTF-8.
        DatasetInvalid: bad JSON, another form, a score that is not finite, an id twice, or no
            line at all; names the lines.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetUnreadable(str(file), str(error)) from error
    scores: dict[str, float] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = list(_problems(line, scores))
            problems += [f"{file.name}:{number}: {problem}" for problem in found]
            if not found:
                record = json.loads(line)
                scores[record["id"]] = float(record["score"])
    if not scores and not problems:
        problems = [f"{file.name}: it holds no scores"]
    if problems:
        raise DatasetInvalid(problems)
    return scores


def _problems(line: str, scores: dict[str, float]) -> Iterator[str]:
    """What is wrong with a line, beside the scores that were read before it."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        yield f"bad JSON ({error})"
        return
    if not isinstance(record, dict) or set(record) != {"id", "score"}:
        yield "not an object with id and score"
        return
    name, score = record["id"], record["score"]
    if not isinstance(name, str):
        yield "the id is not a text"
    elif name in scores:
        yield f"id {name!r} stands twice"
    if type(score) not in (int, float) or not math.isfinite(score):
        yield f"the score {score!r} is not a finite number"
