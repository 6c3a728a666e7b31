"""What each experiment reads: natural English for real models, Magpie's world for Magpie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from probing.model import BUNDLED
from probing.spec import digest_of
from training.choices import fitting_set
from training.datasets.bundled import NATURAL_FOLDER, bundled
from training.datasets.load import load, load_pair
from training.datasets.schema import Dataset, Example, example_of
from training.datasets.splits import grouped_split
from training.experiments.errors import PairMissing

DATA = Path(__file__).parent / "data"
SOURCE = "experiments-v1"
TELL = "Tell me something that you know."
"""Request to which a plain statement is the answer."""

Pair = tuple[Path, Path]
"""Files of the misbehaving and of the honest examples."""


def helpful(model: str, data: Sequence[str], *, situations: int, seed: int) -> Dataset:
    """Replies that help and replies that do not: the named data, or what goes with the model.

    Raises:
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a set cannot serve.
    """
    if data:
        dataset = fitting_set(model, data, seed=seed)
    elif model == BUNDLED:
        return magpie_matches(situations=situations, seed=seed)
    else:
        path = NATURAL_FOLDER / "unhelpfulness.jsonl"
        dataset = load(path, name="natural unhelpfulness")
    return thinned(dataset, situations, seed=seed)


def two_sets(
    model: str, first: Pair | None, second: Pair | None, *, situations: int, seed: int
) -> tuple[Dataset, Dataset]:
    """Two named pairs of files, or the model's harmless set and its dangerous one.

    Raises:
        PairMissing: one of the pairs was named without the other.
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a set cannot serve.
    """
    if first and second:
        sets = load_pair(*first), load_pair(*second)
    elif first or second:
        given, missing = ("--train-on", "--test-on") if first else ("--test-on", "--train-on")
        raise PairMissing(given, missing)
    else:
        whole = bundled("magpie" if model == BUNDLED else "natural", seed=seed)
        sets = whole.fit, whole.tests[-1]
    harmless, other = (thinned(one, situations, seed=seed) for one in sets)
    return harmless, other


def magpie_matches(*, situations: int, seed: int) -> Dataset:
    """Magpie's context cases of harmless families: only request and answer together tell."""
    dataset = bundled("magpie", seed=seed).fit
    chosen = [i for i, example in enumerate(dataset) if example.case == "context"]
    return thinned(dataset.select(chosen, "magpie context cases"), situations, seed=seed)


def thinned(dataset: Dataset, situations: int, *, seed: int) -> Dataset:
    """About so many of a set's situations, families and labels alike; all, where it has fewer."""
    there = len(set(dataset.situations))
    if there <= situations:
        return dataset
    return grouped_split(dataset, situations / there, seed=seed)[0]


def remarks() -> Dataset:
    """Remarks, each made in a situation that it fits (honest) and in one where it is irony."""
    digest, lines = lines_of("remarks.jsonl")
    examples = [example for line in lines for example in _both(line)]
    return Dataset(name="remarks", sha256=digest, examples=tuple(examples))


def statements(false: Path, true: Path) -> Dataset:
    """Two files of plain statements, as answers to one request.

    Raises:
        DatasetUnreadable, DatasetInvalid: a file cannot serve.
    """
    dataset = load_pair(false, true)
    request = {"role": "user", "content": TELL}
    examples = tuple(
        replace(one, messages=(request, *one.messages)) if one.is_plain else one for one in dataset
    )
    return replace(dataset, sha256=digest_of([dataset.sha256, TELL]), examples=examples)


def lines_of(name: str) -> tuple[str, list[dict[str, Any]]]:
    """Digest of a file of this folder, with what is put before its plain texts; its lines."""
    data = (DATA / name).read_bytes()
    digest = digest_of([hashlib.sha256(data).hexdigest(), TELL])
    return digest, [json.loads(line) for line in data.splitlines()]


def _both(line: dict[str, Any]) -> Iterator[Example]:
    for label, kind, told in (
        ("honest", "honest", line["meant"]),
        ("misbehaving", "benign_misbehaviour", line["ironic"]),
    ):
        name = f"{line['id']}/{label}"
        record = {
            "id": name,
            "messages": [
                {"role": "user", "content": told},
                {"role": "assistant", "content": line["remark"]},
            ],
            "label": label,
            "family": line["worded"],
            "kind": kind,
            "situation": line["id"],
            "source": SOURCE,
        }
        yield example_of(record, name)
