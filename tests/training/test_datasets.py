"""A data set is read whole and sound, or refused with the lines that are wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probing.errors import InvalidSpecification
from tests.training.examples import dataset, pairs, record, write_lines
from training.datasets.bundled import NAMES, bundled, own, sets_of
from training.datasets.load import load, load_class, load_many, load_pair, require_no_leak
from training.datasets.schema import Dataset, Example
from training.datasets.splits import families_suffice, grouped_folds, grouped_split
from training.errors import (
    DatasetInvalid,
    DatasetUnreadable,
    EmptyClass,
    SituationLeak,
    TooFewSituations,
)


def test_a_sound_file_is_read_in_order(tmp_path: Path) -> None:
    records = pairs(3)
    records[1]["spans"] = [[0, 6], [7, 11]]
    records[1]["case"] = "context"

    found = load(write_lines(tmp_path / "a.jsonl", records))

    assert [example.id for example in found] == [r["id"] for r in records]
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert found.examples[1].spans == ((0, 6), (7, 11))
    assert found.examples[1].case == "context"
    assert found.examples[2].where == "a.jsonl:3"


def _messages(answer: Any, role: str = "assistant") -> list[dict[str, Any]]:
    return [{"role": "user", "content": "?"}, {"role": role, "content": answer}]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("{", "bad JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "bad JSON"),
        (record(9, label="evil"), "unknown label 'evil'"),
        (record(9, kind="rude"), "kind 'rude' does not go with 'honest'"),
        (record(9, kind="dangerous"), "kind 'dangerous' does not go with 'honest'"),
        (record(9, misbehaving=True, kind="honest"), "does not go with 'misbehaving'"),
        (record(9, case="both"), "unknown case 'both'"),
        (record(9, id=" "), "empty id"),
        (record(9, situation=7), "empty situation"),
        (record(9, messages=[]), "no messages"),
        (record(9, messages=_messages("  ")), "message 2 is an empty text"),
        (record(9, messages=_messages(None)), "message 2 is an empty text"),
        (record(9, messages=_messages("x", "user")), "last message is not the assistant's"),
        (record(9, messages=_messages("x", "robot")), "unknown role 'robot'"),
        (record(9, spans=[[0, 99]]), "span [0, 99] is outside"),
        (record(9, spans=[[3, 3]]), "span [3, 3] is outside"),
        (record(9, spans=[[-1, 3]]), "span [-1, 3] is outside"),
        (record(9, spans=[["0", 3]]), "is outside"),
        (record(9, familly="x"), "unknown field familly"),
        ({"id": "9"}, "lacks family, kind"),
        (record(0), "id '0-honest' is already at a.jsonl:1"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path: Path, bad: Any, says: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", [*pairs(2), bad, record(10)])

    with pytest.raises(DatasetInvalid) as refusal:
        load(path)
    assert "a.jsonl:5: " in str(refusal.value)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_bytes_that_are_no_text_are_refused_by_line(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", pairs(1))
    path.write_bytes(path.read_bytes() + b'{"id": "\xff"}\n')

    with pytest.raises(DatasetInvalid, match=r"a\.jsonl:3: not UTF-8"):
        load(path)


def test_five_problems_are_told_at_once_and_the_rest_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [record(0), *["{"] * 8])

    with pytest.raises(DatasetInvalid) as refusal:
        load(path)
    assert str(refusal.value).count("bad JSON") == 5
    assert "and 3 more" in str(refusal.value)
    assert len(refusal.value.problems) == 8


def test_a_missing_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnreadable, match="No such file"):
        load(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(DatasetInvalid, match="holds no examples"):
        load(tmp_path / "empty.jsonl")
    with pytest.raises(DatasetUnreadable, match="or a bundled set"):
        sets_of(["nothing"])


def test_an_id_in_two_files_is_refused(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "a.jsonl", pairs(1))
    two = write_lines(tmp_path / "b.jsonl", pairs(1))

    with pytest.raises(DatasetInvalid, match=r"b\.jsonl:1: id '0-honest' is already at a\.jsonl:1"):
        load_many([one, two], name="both")


def test_a_lone_surrogate_is_kept_as_it_is(tmp_path: Path) -> None:
    """It is legal JSON, and the tokenizer's side knows what to do with it."""
    path = write_lines(tmp_path / "a.jsonl", [record(0, messages=_messages("a\ud800\x00b"))])

    assert load(path).examples[0].answer == "a\ud800\x00b"


def test_a_situation_on_two_sides_is_refused(tmp_path: Path) -> None:
    """The same story told twice is recognised, not judged."""
    fit = load(write_lines(tmp_path / "fit.jsonl", pairs(3)))
    told_again = record(2, id="other")
    test = load(write_lines(tmp_path / "test.jsonl", [record(7), told_again]))

    with pytest.raises(SituationLeak) as refusal:
        require_no_leak({"fit": fit, "test": test})
    assert "test.jsonl:2: situation 'thing-2' of test is also in fit (fit.jsonl:5)" in str(
        refusal.value
    )


def test_two_files_are_two_classes(tmp_path: Path) -> None:
    lies, truths = tmp_path / "lies.txt", tmp_path / "truths.jsonl"
    lies.write_text("The sun is cold.\r\n\nFish can drive.\n")
    write_lines(truths, [{"text": "Water is wet."}, record(3, misbehaving=True)])

    bad, good = load_class(lies, "misbehaving"), load_class(truths, "honest")

    assert [example.answer for example in bad] == ["The sun is cold.", "Fish can drive."]
    assert bad.labels.tolist() == [1, 1]
    assert all(example.is_plain for example in bad)
    assert good.labels.tolist() == [0, 0]
    assert not good.examples[1].is_plain


def test_the_same_file_for_both_classes_is_refused_by_line(tmp_path: Path) -> None:
    """Whatever is fitted on it, half of its examples are wrong."""
    (tmp_path / "a.txt").write_text("Fish can drive.\nFish can fly.\n")

    with pytest.raises(DatasetInvalid, match=r"a\.txt:1: id .* is already at a\.txt:1"):
        load_pair(tmp_path / "a.txt", tmp_path / "a.txt")


def test_a_text_in_both_classes_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("Fish can drive.\nFish can fly.\n")
    (tmp_path / "good.txt").write_text("Fish swim.\n\nFish can fly.\n")

    with pytest.raises(DatasetInvalid) as refusal:
        load_pair(tmp_path / "bad.txt", tmp_path / "good.txt")
    assert refusal.value.problems == ("good.txt:3: the same text is misbehaving at bad.txt:2",)


def test_an_id_in_both_classes_is_refused_by_line(tmp_path: Path) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", [record(1, id="x")])
    good = write_lines(tmp_path / "good.jsonl", [record(2, id="x")])

    with pytest.raises(DatasetInvalid, match=r"good\.jsonl:1: id 'x' is already at bad\.jsonl:1"):
        load_pair(bad, good)


def test_the_same_text_in_two_plain_files_is_one_situation(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Fish can drive.\n")

    one, two = (load_class(tmp_path / name, "honest") for name in ("a.txt", "b.txt"))

    with pytest.raises(SituationLeak, match="situation"):
        require_no_leak({"fit": one, "test": two})


def test_families_that_share_a_situation_are_not_held_out() -> None:
    """The story would be known from another family: what is held out would not be new."""
    data = dataset(40, families=8)
    moved = [replace(e, situation="shared") if i in (0, 3, 40) else e for i, e in enumerate(data)]
    shared = replace(data, examples=tuple(moved))

    with pytest.raises(SituationLeak, match="situation 'shared' of family"):
        grouped_folds(shared, folds=4, seed=1, by_family=True)

    assert len(grouped_folds(shared, folds=4, seed=1)) == 4


@pytest.mark.parametrize("by_family", [False, True])
def test_folds_keep_situations_together_and_classes_alike(by_family: bool) -> None:
    data = dataset(40, families=8)

    folds = grouped_folds(data, folds=4, seed=1, by_family=by_family)

    keys = [e.family if by_family else e.situation for e in data]
    for train, test in folds:
        assert not {keys[i] for i in train} & {keys[i] for i in test}
        assert data.labels[test].mean() == 0.5
        assert len(test) == 20
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(80))


def _one_kind_each() -> Dataset:
    """Situations of four families, of one class and one size each, in the file's order."""
    kinds = [("a", False, 1), ("b", True, 3), ("c", False, 2), ("d", True, 1)]
    examples = []
    for family, bad, size in kinds:
        for number in range(10):
            for copy in range(size):
                whole = record(number, misbehaving=bad, family=family)
                whole |= {"id": f"{family}-{number}-{copy}", "situation": f"{family}-{number}"}
                examples.append(Example(**whole))
    return Dataset(name="kinds", sha256="kinds", examples=tuple(examples))


@pytest.mark.parametrize("seed", range(5))
def test_every_part_has_its_share_of_each_family_and_class(seed: int) -> None:
    """Dealt at random, a fold may lack a family, and its figure is about the others only."""
    data = _one_kind_each()
    sizes = {"a": 1, "b": 3, "c": 2, "d": 1}

    folds = grouped_folds(data, folds=5, seed=seed)
    first, _ = grouped_split(data, 0.7, seed=seed)

    for _, test in folds:
        counts = Counter(data.examples[i].family for i in test)
        assert counts == {family: 2 * size for family, size in sizes.items()}
    counts = Counter(example.family for example in first)
    assert all(abs(counts[family] - 7 * size) <= size for family, size in sizes.items())


def test_families_are_held_out_where_there_are_enough() -> None:
    """One family cannot be held out of itself: then situations are."""
    assert families_suffice(dataset(40, families=5), 5)
    assert not families_suffice(dataset(40, families=4), 5)


def test_the_same_seed_splits_alike_and_another_does_not() -> None:
    data = dataset(30)

    first, again, other = (grouped_split(data, 0.7, seed=s)[0] for s in (1, 1, 2))

    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256
    assert len(first) == 42


def test_a_split_shares_no_situation() -> None:
    data = dataset(30)

    one, two = grouped_split(data, 0.7, seed=0)

    assert set(one.situations).isdisjoint(two.situations)
    assert len(one) + len(two) == len(data)


def test_a_class_that_is_missing_or_too_rare_is_refused() -> None:
    data = dataset(10)

    with pytest.raises(EmptyClass, match="10 honest and 0 misbehaving"):
        grouped_folds(data.only("honest"), folds=2, seed=0)
    with pytest.raises(TooFewSituations, match=r"10 situations with honest .* 11 parts"):
        grouped_folds(data, folds=11, seed=0)
    with pytest.raises(TooFewSituations, match=r"2 families with honest .* or deal --by-situation"):
        grouped_folds(data, folds=3, seed=0, by_family=True)
    with pytest.raises(TooFewSituations, match="1 situations"):
        grouped_split(data.select([0, 1]), 0.5, seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_bundled_sets_are_dealt_without_a_leak(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = bundled(name)

    sets.require_no_leak()
    assert {e.kind for e in sets.fit} == {"honest", "benign_misbehaviour"}
    assert not sets.calibration.labels.any()
    assert len(sets.calibration) >= 100
    assert "dangerous" in {e.kind for e in sets.tests[-1]}


@pytest.mark.parametrize("data", ["natural", "own"])
def test_the_named_calibration_and_test_files_are_used(data: str, tmp_path: Path) -> None:
    """Silently left out, a threshold would rest on other answers than its owner named."""
    mine = write_lines(tmp_path / "mine.jsonl", pairs(9))
    held = write_lines(tmp_path / "held.jsonl", pairs(7, first=100))
    test = write_lines(tmp_path / "test.jsonl", pairs(5, first=200))
    named = "natural" if data == "natural" else str(mine)

    sets = sets_of([named], calibration=[held], tests=[test])

    assert sets.calibration.name == "held (honest)"
    assert {e.situation for e in sets.calibration} == {f"thing-{n}" for n in range(100, 107)}
    assert not sets.calibration.labels.any()
    assert sets.tests[-1].name == "test"
    assert len(sets.tests) == (2 if data == "natural" else 1)
    assert data == "natural" or len(sets.fit) == 18, "all of it, nothing is held out"


def test_a_bundled_set_is_not_mixed_with_files(tmp_path: Path) -> None:
    mine = str(write_lines(tmp_path / "mine.jsonl", pairs(3)))

    with pytest.raises(InvalidSpecification, match=r"natural with .* alone, or files"):
        sets_of(["natural", mine])


def test_own_files_hold_a_part_of_the_situations_out(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", pairs(50))

    sets = own([path])

    sets.require_no_leak()
    assert len(sets.fit) == 60
    assert len(sets.calibration) == 20
