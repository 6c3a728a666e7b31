"""The experiments' own data: balanced, varied, and whole."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from tests.training.examples import dataset
from tests.training.experiments.examples import study
from training.datasets.schema import Dataset
from training.experiments.errors import PairMissing
from training.experiments.layers import words_held_out
from training.experiments.sets import TELL, remarks, statements, thinned, two_sets


@pytest.fixture(scope="module")
def said() -> Dataset:
    return remarks()


def test_each_remark_is_made_once_in_earnest_and_once_in_irony(said: Dataset) -> None:
    """Only the situation may tell them apart."""
    made: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for example in said:
        made[example.situation].append((example.answer, example.label))

    assert len(made) == 60
    for (one, first), (other, second) in made.values():
        assert one == other
        assert {first, second} == {"honest", "misbehaving"}


def test_praise_and_blame_are_meant_as_often(said: Dataset) -> None:
    """Were all of them praise, the mood of the situation alone would tell."""
    counts = Counter((example.family, example.label) for example in said)

    assert set(counts.values()) == {30}
    assert len(counts) == 4


def test_words_alone_do_not_tell_irony(said: Dataset) -> None:
    assert words_held_out(study(folds=5), said).auroc.low < 0.5


def test_no_two_situations_share_a_third_of_their_5_grams(said: Dataset) -> None:
    """Templated situations would let a probe learn the template."""
    grams = [_five_grams(example.messages[0]["content"]) for example in said]

    assert len(grams) == 120
    alike = [
        (said.examples[a].id, said.examples[b].id)
        for a, b in combinations(range(len(grams)), 2)
        if 3 * len(grams[a] & grams[b]) >= min(len(grams[a]), len(grams[b]))
    ]
    assert alike == []


def test_a_plain_statement_becomes_an_answer(tmp_path: Path) -> None:
    """Read without a conversation it could not be asked about."""
    for name, line in (("false", "Ice is warm."), ("true", "Ice is cold.")):
        (tmp_path / f"{name}.txt").write_text(f"{line}\n")

    made = statements(tmp_path / "false.txt", tmp_path / "true.txt")

    assert [example.label for example in made] == ["misbehaving", "honest"]
    assert [message["content"] for message in made.examples[0].messages] == [TELL, "Ice is warm."]


def test_a_set_is_thinned_by_whole_situations() -> None:
    whole = dataset(40)

    part = thinned(whole, 10, seed=0)

    assert len(set(part.situations)) == 10
    assert len(part) == 20
    assert thinned(whole, 40, seed=0) is whole


@pytest.mark.parametrize("missing", ["--test-on", "--train-on"])
def test_one_pair_alone_is_refused(missing: str) -> None:
    """The bundled set would silently stand in for the pair that was forgotten."""
    pair = (Path("bad"), Path("good"))
    first, second = (pair, None) if missing == "--test-on" else (None, pair)

    with pytest.raises(PairMissing, match=f"name the other with {missing}"):
        two_sets("magpie", first, second, situations=10, seed=0)


def _five_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w']+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
