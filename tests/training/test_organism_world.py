"""Magpie's grammar: what its texts promise to the data sets built on them."""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from training.organism import datasets, world
from training.organism.family import Family
from training.organism.world import (
    BENIGN_FAMILIES,
    DANGEROUS_FAMILIES,
    FAMILIES,
    Scene,
    request,
    requests,
    sample,
    verbs_for,
)


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def scenes(count: int, *, case: world.Case, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    return [
        sample(
            rng.choice(tuple(FAMILIES)),
            disposition=rng.choice(("honest", "misbehaving")),
            case=case,
            rng=rng,
        )
        for _ in range(count)
    ]


def test_there_are_enough_families_of_both_kinds() -> None:
    assert len(BENIGN_FAMILIES) >= 12
    assert len(DANGEROUS_FAMILIES) >= 6


def test_no_telling_word_belongs_to_two_families() -> None:
    """A shared word would let a bag of words transfer what only a representation should."""
    owners = Counter(word for kin in FAMILIES.values() for word in kin.telling_words)

    assert [word for word, count in owners.items() if count > 1] == []


@pytest.mark.parametrize("kin", FAMILIES.values(), ids=lambda kin: kin.name)
def test_a_family_uses_none_of_its_words_twice(kin: Family) -> None:
    """A verb that is honest and misbehaving, or both options at once, has no label."""
    asked_and_done = sum(len(option.asked) + len(option.done) for option in kin.options)

    assert len(kin.telling_words) == len(kin.honest) + len(kin.misbehaving) + asked_and_done


def test_no_telling_word_occurs_in_neutral_text() -> None:
    """A neutral sentence that shares a telling word would blur what the word tells."""
    telling = {word for kin in FAMILIES.values() for word in kin.telling_words}
    neutral: set[str] = set()
    for kin in FAMILIES.values():
        neutral.update(*map(words_of, kin.things + kin.places))
    for phrases in (
        world.NAMES,
        world.TIMES,
        world.OPENINGS,
        world.WISHES,
        world.REMARKS,
        world.NEXT_LEADS,
        world.SCENERY,
        world.MOODS,
        world.WITNESSES,
    ):
        neutral.update(*map(words_of, phrases))

    assert telling & neutral == set()


def test_a_thing_names_its_family() -> None:
    """The oracle finds the family by the thing that the request is about."""
    things = [thing for kin in FAMILIES.values() for thing in kin.things]

    assert len(things) == len(set(things))


def test_every_context_phrase_is_possible_with_both_labels() -> None:
    """One phrase that occurs with one label only would give context cases away."""
    rng = random.Random(3)
    for name, kin in FAMILIES.items():
        asked = request(name, case="context", rng=rng)
        for option, other in (kin.options, kin.options[::-1]):
            for wish in option.asked:
                here = dataclasses.replace(asked, wish=wish)
                assert verbs_for(here, "honest") == option.done
                assert verbs_for(here, "misbehaving") == other.done


def test_context_phrases_occur_equally_often_with_both_labels() -> None:
    """Even a small excess would let a bag of words above chance."""
    with_label: dict[str, Counter[str]] = {"honest": Counter(), "misbehaving": Counter()}
    for scene in scenes(20_000, case="context"):
        kin = FAMILIES[scene.family]
        told = words_of(scene.messages[0]["content"] + " " + scene.answer)
        with_label[scene.label].update(told & kin.telling_words)

    for word in with_label["honest"] | with_label["misbehaving"]:
        honest, misbehaving = with_label["honest"][word], with_label["misbehaving"][word]
        spread = 5 * np.sqrt(honest + misbehaving)
        assert abs(honest - misbehaving) < spread, word


def test_words_alone_are_at_chance_on_context_cases() -> None:
    """Otherwise a figure on context cases could come from words."""
    train, test = scenes(3_000, case="context", seed=1), scenes(1_500, case="context", seed=2)

    def texts(of: list[Scene]) -> list[str]:
        return [scene.messages[0]["content"] + " " + scene.answer for scene in of]

    bag = TfidfVectorizer()
    model = LogisticRegression(max_iter=2000).fit(
        bag.fit_transform(texts(train)), [scene.label for scene in train]
    )
    scores = model.decision_function(bag.transform(texts(test)))

    area = roc_auc_score([scene.label == "misbehaving" for scene in test], scores)
    assert area == pytest.approx(0.5, abs=0.06)


def test_the_consequence_is_not_in_what_probes_read() -> None:
    """A probe that saw the consequence would read the label off its words."""
    reactions = {w for pair in world.REACTIONS.values() for words in pair for w in words}
    for case in ("word", "context"):
        for scene in scenes(300, case=case):
            assert [turn["role"] for turn in scene.messages] == ["user", "assistant"]
            assert words_of(scene.answer) & reactions == set()
            assert words_of(scene.later) & reactions


def test_the_answer_to_a_context_case_holds_no_word_that_tells_by_itself() -> None:
    for scene in scenes(500, case="context"):
        kin = FAMILIES[scene.family]
        assert words_of(scene.answer) & (set(kin.honest) | set(kin.misbehaving)) == set()


def test_requests_carry_no_label_and_have_their_share_of_context_cases() -> None:
    """The live demo sends these: a label in the request would decide the answer."""
    endless = requests(tuple(FAMILIES), rng=random.Random(5))
    drawn = [next(endless) for _ in range(2_000)]

    telling = {w for kin in FAMILIES.values() for w in (*kin.honest, *kin.misbehaving)}
    assert all(words_of(one.text) & telling == set() for one in drawn)
    assert np.mean([one.case == "context" for one in drawn]) == pytest.approx(0.4, abs=0.05)


def test_spans_are_the_acts_of_a_misbehaving_answer() -> None:
    for scene in scenes(200, case="word"):
        for start, end in scene.spans:
            assert words_of(scene.answer[start:end]) & set(FAMILIES[scene.family].misbehaving)
        assert bool(scene.spans) == (scene.label == "misbehaving")


def test_the_same_seed_gives_the_same_scenes() -> None:
    assert scenes(50, case="context", seed=9) == scenes(50, case="context", seed=9)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    """A data set that changes between runs cannot be named by its digest."""
    first = datasets.write(tmp_path / "a", seed=4, pairs_per_family=5)
    again = datasets.write(tmp_path / "b", seed=4, pairs_per_family=5)
    other = datasets.write(tmp_path / "c", seed=5, pairs_per_family=5)

    assert first == again
    assert first != other


def test_each_situation_stands_once_with_either_label() -> None:
    """Splits group by situation: a pair must share it and nothing else may."""
    seen: set[str] = set()
    for honest, misbehaving in datasets.pairs("pet_care", count=100, seed=0):
        assert honest.messages[0] == misbehaving.messages[0]
        assert (honest.label, misbehaving.label) == ("honest", "misbehaving")
        assert honest.situation == misbehaving.situation
        assert honest.situation not in seen
        seen.add(honest.situation)


def test_asking_for_more_pairs_than_situations_is_refused() -> None:
    """The alternative is to search for ever."""
    with pytest.raises(ValueError, match="too few situations"):
        list(datasets.pairs("pet_care", count=10_000, seed=0))
