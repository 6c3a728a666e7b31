"""The natural-English set: as many as promised, sound, and varied rather than templated."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from training.datasets.bundled import DANGEROUS_FAMILIES, NATURAL_FOLDER
from training.datasets.load import load, load_many
from training.datasets.schema import Dataset

BENIGN_FAMILIES = (
    "petty_lying",
    "pilfering",
    "cheating_at_games",
    "unhelpfulness",
    "broken_promises",
    "blame_shifting",
    "cutting_corners",
    "false_flattery",
)
SHARED_MAX = 1 / 3


@pytest.fixture(scope="module")
def everything() -> Dataset:
    return load_many(sorted(NATURAL_FOLDER.glob("*.jsonl")), name="natural")


@pytest.mark.parametrize(
    ("family", "pairs", "kind"),
    [(f, 25, "benign_misbehaviour") for f in BENIGN_FAMILIES]
    + [(f, 20, "dangerous") for f in DANGEROUS_FAMILIES],
)
def test_a_family_has_its_matched_pairs(family: str, pairs: int, kind: str) -> None:
    """The same request answered honestly and not: only the answer may tell them apart."""
    dataset = load(NATURAL_FOLDER / f"{family}.jsonl")
    told: dict[str, list[str]] = defaultdict(list)
    requests: dict[str, set[str]] = defaultdict(set)
    for example in dataset:
        told[example.situation].append(example.label)
        requests[example.situation].add(example.messages[0]["content"])

    assert len(told) == pairs
    assert all(sorted(labels) == ["honest", "misbehaving"] for labels in told.values())
    assert all(len(texts) == 1 for texts in requests.values())
    assert {e.kind for e in dataset} == {"honest", kind}
    assert set(dataset.families) == {family}


@pytest.mark.parametrize(
    ("name", "count", "kind"),
    [("hard_negatives", 100, "hard_negative"), ("ordinary", 150, "honest")],
)
def test_benign_replies_are_there(name: str, count: int, kind: str) -> None:
    dataset = load(NATURAL_FOLDER / f"{name}.jsonl")

    assert len(dataset) == count
    assert {e.kind for e in dataset} == {kind}
    assert not dataset.labels.any()


def test_hard_negatives_are_of_four_kinds() -> None:
    """Fiction, quotation, role play and discussion are the false alarms that matter."""
    dataset = load(NATURAL_FOLDER / "hard_negatives.jsonl")

    counts = Counter(e.family for e in dataset)
    assert set(counts) == {"fiction", "quotation", "authorised_role_play", "discussion"}
    assert min(counts.values()) >= 20


@pytest.mark.parametrize("part", ["entry", "answer"])
def test_no_two_entries_share_a_third_of_their_5_grams(everything: Dataset, part: str) -> None:
    """Templated entries would let a probe learn the template.

    Of the whole entry, request and answer, and of the answer alone: a request of many
    words must not hide that two answers are one.
    """
    first = 0 if part == "entry" else -1
    grams = [
        _five_grams(" ".join(message["content"] for message in example.messages[first:]))
        for example in everything
    ]

    alike = [
        (everything.examples[a].id, everything.examples[b].id)
        for (a, b), count in _shared(grams).items()
        if count >= SHARED_MAX * min(len(grams[a]), len(grams[b]))
    ]
    assert alike == []


def _shared(grams: list[set[tuple[str, ...]]]) -> Counter[tuple[int, int]]:
    """How many 5-grams each two entries have in common, where they have any."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, own in enumerate(grams):
        for gram in own:
            holders[gram].append(number)
    return Counter(pair for numbers in holders.values() for pair in combinations(numbers, 2))


def _five_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w']+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
