"""What a test set shares with the fitting set: words that give the label, and whole texts.

A probe is praised for what it reads inside a model. Where words alone give the answer, or
where the test was all but seen before, its figure shows less than it seems to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer

from probing.estimates import Estimate, auroc, rate
from training.datasets.schema import Dataset
from training.evaluate import BagOfWords
from training.evaluation.control import Control, Figure
from training.evaluation.subject import Json

ODDS = 3.0
"""At which words alone count as solving a sample: three to one for its true label."""
CHANCE = 0.5
"""AUROC of a probe that knows nothing."""
GRAM_WORDS = 5
JACCARD_MIN = 0.5
"""Share of both texts' word 5-grams that stand in both, from which they are near-duplicates."""
REPEATED_MAX = 0.01
"""Share of a set's answers that may be near-duplicates before they speak against a figure."""
WORST_SHOWN = 5
ROWS = 256
"""Texts that are compared with all others at a time, so that the table stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Some of a test set's answers, and the probe on them."""

    misbehaving: int
    """How many."""
    honest: int
    """How many."""
    auroc: Estimate | None
    """Of the live statistic; None where one class is empty."""

    def __str__(self) -> str:
        area = f"has AUROC {self.auroc}" if self.auroc else "shows nothing"
        return f"the probe {area} on the {self.misbehaving} misbehaving and {self.honest} honest"

    def as_json(self) -> Json:
        """As it stands in the file."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Near-duplicates of two sets, the most alike first."""

    fitted: Int[NDArray[np.int64], " pairs"]
    """Index in the fitting set."""
    other: Int[NDArray[np.int64], " pairs"]
    """Index in the other set."""
    jaccard: Float[NDArray[np.float64], " pairs"]
    """Grams in both over grams in either."""


def bag_of_words(figure: Figure, words: BagOfWords) -> Control:
    """What words alone give on the test set, where the probe claims to read more."""
    area = auroc(words.score(figure.collected.dataset), figure.collected.dataset.labels)
    return Control(
        figures={"probe": figure.auroc.as_json(), "words": area.as_json()},
        sentence=(
            f"A bag of words, fitted on the same texts, has AUROC {area} on {figure.name}; the "
            f"probe has {figure.auroc}."
        ),
        warns=area.value >= figure.auroc.low,
    )


def leak_filter(figure: Figure, words: BagOfWords) -> Control:
    """The probe on those samples that words alone do not solve.

    A sample is solved where the bag of words gives its true label at odds of `ODDS` to one
    or better. What is left is what words get wrong or are unsure of, so it is harder than
    the test set was; what they get wrong, by however little, is told apart.
    """
    dataset = figure.collected.dataset
    logits = words.score(dataset)
    margins = np.where(dataset.labels == 1, logits, -logits)
    solved = rate(int((margins >= math.log(ODDS)).sum()), len(dataset))
    left, wrong = _rest(figure, margins < math.log(ODDS)), _rest(figure, margins < 0)
    return Control(
        figures={
            "probe": figure.auroc.as_json(),
            "odds": ODDS,
            "solved": solved.as_json(),
            "left": left.as_json(),
            "wrong": wrong.as_json(),
        },
        sentence=(
            f"Words alone solve {solved} of {figure.name} at odds of {ODDS:g} to one; {left} "
            f"left, and {wrong} that words get wrong."
        ),
        warns=left.auroc is None or left.auroc.low <= CHANCE,
    )


def near_duplicates(fitting: Dataset, others: Mapping[str, Dataset]) -> Control:
    """Answers that were all but seen in fitting, with their requests.

    Two texts are near-duplicates where the Jaccard index of their sets of word 5-grams is
    at least `JACCARD_MIN` (Broder, "On the Resemblance and Containment of Documents", 1997),
    reckoned exactly.

    Args:
        others: what must not repeat the fitting set, by what it is for.
    """
    sets: list[Json] = []
    told: list[str] = []
    found = pairs_of(fitting, list(others.values()))
    for (name, other), pairs in zip(others.items(), found, strict=True):
        repeated = rate(len(np.unique(pairs.other)), len(other))
        worst = _worst(fitting, other, pairs)
        sets.append(
            {
                "name": name,
                "pairs": len(pairs.other),
                "repeated": repeated.as_json(),
                "worst": worst,
            }
        )
        if worst:
            told.append(
                f"{repeated} of {name} (most alike: {worst[0]['id']} and "
                f"{worst[0]['fitted']} at {worst[0]['jaccard']:.2f})"
            )
    measure = f"a Jaccard index of word {GRAM_WORDS}-grams of at least {JACCARD_MIN}"
    return Control(
        figures={"gram_words": GRAM_WORDS, "jaccard_min": JACCARD_MIN, "sets": sets},
        sentence=(
            f"Answers repeat what was fitted on, by {measure}: {'; '.join(told)}."
            if told
            else f"None of {sum(map(len, others.values())):,} answers outside the fitting set "
            f"repeats one of its {len(fitting):,}, by {measure}."
        ),
        warns=any(one["repeated"]["value"] > REPEATED_MAX for one in sets),
    )


def pairs_of(fitting: Dataset, others: Sequence[Dataset]) -> Iterator[Pairs]:
    """All near-duplicates of a set in each of some others, by sparse products of their grams."""
    vectorizer = CountVectorizer(analyzer=grams, binary=True, dtype=np.int32)
    texts = (example.words for part in (fitting, *others) for example in part)
    table = vectorizer.fit_transform(texts)
    sizes = np.asarray(table.sum(axis=1)).ravel()
    seen, sizes_seen = table[: len(fitting)].T.tocsr(), sizes[: len(fitting)]
    begin = len(fitting)
    for other in others:
        own = slice(begin, begin := begin + len(other))
        parts = list(_alike(table[own], sizes[own], seen, sizes_seen))
        rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort((columns, rows, -values))
        yield Pairs(fitted=columns[order], other=rows[order], jaccard=values[order])


def grams(text: str) -> list[str]:
    """Its runs of five words; all of it where it has fewer."""
    words = re.findall(r"\w+", text.lower())
    starts = range(max(1, len(words) - GRAM_WORDS + 1))
    return [" ".join(words[start : start + GRAM_WORDS]) for start in starts]


def _alike(
    table: Any, sizes: NDArray[np.int64], seen: Any, sizes_seen: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Rows, columns and Jaccard indices of near-duplicates, some rows at a time."""
    for first in range(0, table.shape[0], ROWS):
        shared = (table[first : first + ROWS] @ seen).tocoo()
        rows, columns = shared.row.astype(np.int64) + first, shared.col.astype(np.int64)
        jaccard = shared.data / (sizes[rows] + sizes_seen[columns] - shared.data)
        kept = jaccard >= JACCARD_MIN
        yield rows[kept], columns[kept], jaccard[kept]


def _rest(figure: Figure, chosen: NDArray[np.bool_]) -> Rest:
    labels = figure.collected.dataset.labels[chosen]
    bad = int(labels.sum())
    good = len(labels) - bad
    area = auroc(figure.peaks[chosen], labels) if bad and good else None
    return Rest(misbehaving=bad, honest=good, auroc=area)


def _worst(fitting: Dataset, other: Dataset, pairs: Pairs) -> list[Json]:
    return [
        {
            "id": other.examples[pairs.other[place]].id,
            "fitted": fitting.examples[pairs.fitted[place]].id,
            "jaccard": float(pairs.jaccard[place]),
        }
        for place in range(min(WORST_SHOWN, len(pairs.other)))
    ]
