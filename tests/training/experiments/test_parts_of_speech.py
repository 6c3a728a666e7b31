"""The control task: what memory gives, and what it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.experiments.examples import study
from training.experiments.errors import TooFewGroups
from training.experiments.parts_of_speech import (
    PROBES,
    Words,
    commonest,
    control_tags,
    first_occurrences,
    folds_of,
    said,
)
from training.experiments.tagging import natural
from training.fit import solver_warnings_silenced

TYPES, TAGS, PLACES = 90, 3, 600
SEEN = 60
"""Types from here on stand in one sentence each."""


def toy() -> Words:
    """Words of ninety types in ninety sentences; the tag goes by the type."""
    rng = np.random.default_rng(0)
    types = np.sort(rng.choice(TYPES, PLACES))
    groups = np.where(types < SEEN, rng.integers(0, SEEN, PLACES), types)
    return Words(
        readings=np.zeros((PLACES, 1, 1), dtype=np.float32),
        types=types,
        tags=types % TAGS,
        groups=groups,
    )


def folds(words: Words) -> list[tuple[np.ndarray, np.ndarray]]:
    everything = np.arange(len(words.types))
    parts = [everything[words.groups % 3 == part] for part in range(3)]
    return [(np.setdiff1d(everything, part), part) for part in parts]


def shares(probe: str, readings: np.ndarray) -> dict[str, float]:
    """Shares of right words, of both tasks, among words that stand everywhere and new ones."""
    words = toy()
    control, parts = control_tags(words, seed=1), folds(words)
    new = first_occurrences(words.types, parts)
    with solver_warnings_silenced():
        right = {
            name: said(probe, readings.astype(np.float32), tags, parts, study(strength=10)) == tags
            for name, tags in (("tags", words.tags), ("control", control))
        }
    return {
        **{name: float(own[words.types < SEEN].mean()) for name, own in right.items()},
        **{f"new {name}": float(own[new].mean()) for name, own in right.items()},
    }


@pytest.mark.parametrize("probe", PROBES)
def test_a_reading_of_the_tag_is_selective(probe: str) -> None:
    found = shares(probe, np.eye(TAGS)[toy().tags])

    assert found["tags"] == found["new tags"] == 1.0
    assert found["control"] < 0.6


@pytest.mark.parametrize("probe", PROBES)
def test_a_reading_of_the_word_alone_solves_both_by_memory_and_neither_on_new_words(
    probe: str,
) -> None:
    """An accuracy that memory gives would be taken for knowledge of grammar."""
    found = shares(probe, np.eye(TYPES)[toy().types])

    assert min(found["tags"], found["control"]) > 0.8
    assert max(found["new tags"], found["new control"]) < 0.7


def test_a_control_tag_belongs_to_its_type() -> None:
    """A tag drawn for each occurrence could not be learnt by any probe: selective for nothing."""
    words = toy()

    control = control_tags(words, seed=1)

    assert all(len(set(control[words.types == own])) == 1 for own in range(TYPES))
    assert (control != control_tags(words, seed=2)).any()


def test_a_word_is_new_once_and_only_where_no_other_part_holds_its_type() -> None:
    words = toy()

    new = first_occurrences(words.types, folds(words))

    found = words.types[new]
    assert len(set(found.tolist())) == len(found)
    for train, test in folds(words):
        own = test[new[test]]
        assert not np.isin(words.types[own], words.types[train]).any()
    assert set(words.types[words.types >= SEEN].tolist()) <= set(found.tolist())


def test_a_sentence_stays_on_one_side() -> None:
    """Its words read each other."""
    tagged = natural()
    owners = np.array([g for g, t in zip(tagged.groups, tagged.tags, strict=True) for _ in t])

    for train, test in folds_of(study(folds=4), tagged):
        assert not set(owners[train]) & set(owners[test])


def test_more_parts_than_sentences_are_refused() -> None:
    with pytest.raises(TooFewGroups, match="stand in 100 groups, and 101 parts"):
        folds_of(study(folds=101), natural())


def test_the_commonest_tag_is_what_saying_always_the_same_gives() -> None:
    estimate = commonest(np.array([1, 1, 1, 0]), np.array([1, 0]))

    assert (estimate.value, estimate.n) == (0.5, 2)
