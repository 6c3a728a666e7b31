"""Read data sets from files, or refuse them with the lines that are wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probing.spec import digest_of
from training.datasets.schema import Dataset, Example, Label, combine, example_of, problems_of
from training.errors import DatasetInvalid, DatasetUnreadable, SituationLeak

Line = tuple[str, bytes]
"""`file:line` and the line's bytes."""


def load(path: Path, *, name: str | None = None) -> Dataset:
    """Read one file of JSON lines in the schema of `training.datasets.schema`.

    Raises:
        DatasetUnreadable: there is no such file, or it cannot be opened.
        DatasetInvalid: bad JSON or UTF-8, a missing or unknown field, an empty text, an
            unknown label or kind, a span outside the text, an id twice, or no example at
            all; names the file and line of each, up to five.
    """
    data, lines = _lines(path)
    examples, problems = _read(lines, lambda record, _: record)
    return _finished(name or path.stem, path, data, examples, problems)


def load_many(paths: Sequence[Path], *, name: str) -> Dataset:
    """Several files as one set; an id may stand in one of them only. Raises as `load`."""
    whole = combine(name, [load(path) for path in paths])
    twice = list(_repeated(whole.examples))
    if twice:
        raise DatasetInvalid(twice)
    return whole


def load_class(path: Path, label: Label) -> Dataset:
    """One class of a pair of sets: a file whose every line is an example of `label`.

    JSON lines may be in the schema, whose label is then replaced, or objects with a
    `text`; any other file holds one plain text a line. The same text is the same
    situation, wherever it stands.

    Raises:
        DatasetUnreadable, DatasetInvalid: as `load`.
    """
    data, lines = _lines(path)
    kind = "honest" if label == "honest" else "benign_misbehaviour"
    as_json = path.suffix in (".jsonl", ".json")

    def complete(record: object, where: str) -> object:
        if isinstance(record, dict) and set(record) == {"text"}:
            record = record["text"]
        if isinstance(record, str):
            place = f"{path.parent.as_posix()}/{where}"
            record = _plain(record, place, source=path.name, family=path.stem)
        return {**record, "label": label, "kind": kind} if isinstance(record, dict) else record

    examples, problems = _read(lines, complete, as_json=as_json)
    return _finished(path.stem, path, data, examples, problems)


def load_pair(misbehaving: Path, honest: Path) -> Dataset:
    """Two files as the misbehaving and the honest class of one set.

    Raises:
        DatasetUnreadable, DatasetInvalid: as `load`; or an id stands twice, or the same text
            in both classes, which teaches nothing and counts as an error of any probe.
    """
    parts = [load_class(misbehaving, "misbehaving"), load_class(honest, "honest")]
    whole = combine(f"{parts[0].name} against {parts[1].name}", parts)
    problems = [*_repeated(whole.examples), *_told_both_ways(whole.examples)]
    if problems:
        raise DatasetInvalid(problems)
    return whole


def require_no_leak(sides: Mapping[str, Dataset]) -> None:
    """Refuse sets that share a situation or an id.

    Args:
        sides: what each set is for, and the set.

    Raises:
        SituationLeak: names both places of each situation that stands on two sides.
    """
    first: dict[str, tuple[str, str]] = {}
    problems = []
    for side, dataset in sides.items():
        own: dict[str, tuple[str, str]] = {}
        for example in dataset:
            for what in (f"situation {example.situation!r}", f"id {example.id!r}"):
                if what in first and what not in own:
                    there, where = first[what]
                    problems.append(
                        f"{example.where}: {what} of {side} is also in {there} ({where})"
                    )
                own.setdefault(what, (side, example.where))
        first = {**own, **first}
    if problems:
        raise SituationLeak(problems)


def _plain(text: str, place: str, *, source: str, family: str) -> dict[str, Any]:
    """A text without a conversation, in the schema but for its label."""
    return {
        "id": place,
        "messages": [{"role": "assistant", "content": text}],
        "family": family,
        "situation": digest_of([text])[:16],
        "source": source,
    }


def _lines(path: Path) -> tuple[bytes, list[Line]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetUnreadable(str(path), error.strerror or str(error)) from error
    numbered = enumerate(data.split(b"\n"), start=1)
    return data, [(f"{path.name}:{i}", line) for i, line in numbered if line.strip()]


def _read(
    lines: Sequence[Line], complete: Callable[[object, str], object], *, as_json: bool = True
) -> tuple[list[Example], list[str]]:
    """Examples of the sound lines and problems of the others."""
    examples: list[Example] = []
    problems: list[str] = []
    for where, line in lines:
        try:
            text = line.decode("utf-8")
            record: Any = complete(json.loads(text) if as_json else text.strip(), where)
        except UnicodeDecodeError as error:
            problems.append(f"{where}: not UTF-8 (byte {error.start})")
            continue
        except (ValueError, RecursionError) as error:
            problems.append(f"{where}: bad JSON ({error})")
            continue
        found = [f"{where}: {problem}" for problem in problems_of(record)]
        problems += found
        if not found:
            examples.append(example_of(record, where))
    return examples, problems


def _finished(
    name: str, path: Path, data: bytes, examples: list[Example], problems: list[str]
) -> Dataset:
    problems = [*problems, *_repeated(examples)]
    if not examples and not problems:
        problems = [f"{path.name}: it holds no examples"]
    if problems:
        raise DatasetInvalid(problems)
    digest = hashlib.sha256(data).hexdigest()
    return Dataset(name=name, sha256=digest, examples=tuple(examples))


def _told_both_ways(examples: Sequence[Example]) -> Iterator[str]:
    """Texts of the misbehaving class that stand in the honest class too."""
    seen = {example.words: example.where for example in examples if example.label != "honest"}
    for example in examples:
        if example.label == "honest" and example.words in seen:
            place = seen[example.words]
            yield f"{example.where}: the same text is misbehaving at {place}"


def _repeated(examples: Sequence[Example]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for example in examples:
        if example.id in seen:
            yield f"{example.where}: id {example.id!r} is already at {seen[example.id]}"
        seen.setdefault(example.id, example.where)
