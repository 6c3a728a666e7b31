"""Are parts of speech represented, or does the probe learn them by heart?

A linear probe and a small network read each word's last token at every layer, and the same
probes are given a control task: each word type gets a random tag, always the same, drawn
from the tags as they occur. Only memory of the types can solve that; how much better a probe
does on the true tags is its selectivity. On words that it was not fitted on, memory is no
help, and the control task can only be guessed.

Expected: parts of speech are linear and there early, nearly as well behind the first blocks
as anywhere; the network gains little on them and more on the control task, so that the
linear probe is the more selective; on new words the control task is at chance. Sources:
Hewitt and Liang, "Designing and Interpreting Probes with Control Tasks" (2019); Tenney, Das
and Pavlick, "BERT Rediscovers the Classical NLP Pipeline" (2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probing.estimates import Estimate, rate
from probing.spec import Site, Span
from training.datasets.splits import Fold
from training.evaluation.random_labels import difference
from training.experiments.errors import TooFewGroups
from training.experiments.study import Outcome, Study
from training.experiments.tagging import WORD, Tagged, last_tokens
from training.families.network import LEARNING_RATE
from training.families.token_regression import ITERATIONS_MAX
from training.fit import solver_warnings_silenced
from training.progress import progress
from training.tables import share, site_names

EXPECTED = (
    "parts of speech are linear and early; a network gains more on the control task than on "
    "them, so the linear probe is more selective; control on new words is at chance "
    "(Hewitt and Liang 2019; Tenney et al. 2019)"
)
UNITS = 64
"""Of the network's hidden layer: enough to learn some hundred word types by heart."""
EPOCHS = 40
PENALTY = 0.01
"""Of the network's weights: hardly any, so that it shows what capacity alone makes of tags."""
PROBES = ("linear", "network")

PerWord = Int[NDArray[np.int64], " words"]
Chosen = Bool[NDArray[np.bool_], " words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Every tagged word and what its last token read."""

    readings: Float[NDArray[np.float32], "words sites d_model"]
    types: PerWord
    """Which word it is, whatever its case."""
    tags: PerWord
    """Its part of speech, as a number."""
    groups: PerWord
    """What it is held out with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selective:
    """One probe at one site, on tags and on the control task."""

    site: Site
    probe: str
    """One of `PROBES`."""
    tags: Estimate
    """Share of held-out words whose part of speech it says."""
    control: Estimate
    """Share of the same words whose random tag it says."""
    new_tags: Estimate
    """The first, for each word type that it was not fitted on, where it first occurs."""
    new_control: Estimate
    """The second, for the same."""

    @property
    def selectivity(self) -> Estimate:
        """By how much it says parts of speech better than random tags."""
        return difference(self.tags, self.control)

    def as_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        figures = {
            "tags": self.tags,
            "control": self.control,
            "selectivity": self.selectivity,
            "new_tags": self.new_tags,
            "new_control": self.new_control,
        }
        written = {key: own.as_json() for key, own in figures.items()}
        return {"site": str(self.site), "probe": self.probe} | written


def parts_of_speech(study: Study, tagged: Tagged) -> Outcome:
    """Probe parts of speech at every layer, beside the control task.

    Raises:
        TooFewGroups: there are fewer sentences, or families, than folds.
        WordsNotAligned: the tokens do not spell the words.
    """
    folds = folds_of(study, tagged)
    words = read_words(study, tagged)
    control = control_tags(words, seed=study.seed)
    rows = list(_rows(study, words, control, folds))
    new = first_occurrences(words.types, folds)
    chances = {
        "tags": commonest(words.tags, words.tags),
        "control": commonest(control, control),
        "new_control": commonest(control, control[new]),
    }
    return Outcome(
        expected=EXPECTED,
        found=list(_found(rows, chances)),
        tables=[_table(rows, chances, tagged)],
        figures={
            "rows": [row.as_json() for row in rows],
            "commonest": {key: own.as_json() for key, own in chances.items()},
            "types": len(set(words.types.tolist())),
        },
    )


def read_words(study: Study, tagged: Tagged) -> Words:
    """Readings of the last token of every word.

    Raises:
        WordsNotAligned: the tokens do not spell the words.
    """
    collected = study.read(tagged.dataset, study.stream)
    readings: list[NDArray[np.float32]] = []
    names: list[str] = []
    tags: list[str] = []
    groups: list[str] = []
    for number, example in enumerate(tagged.dataset):
        ends = last_tokens(study.loaded.tokenizer, collected.rendered[number], example)
        readings.append(collected.tokens(number, study.stream, Span("response"))[ends])
        names += [word.lower() for word in WORD.findall(example.answer)]
        tags += tagged.tags[number]
        groups += [tagged.groups[number]] * len(ends)
    return Words(
        readings=np.concatenate(readings),
        types=_numbers(names),
        tags=_numbers(tags),
        groups=_numbers(groups),
    )


def folds_of(study: Study, tagged: Tagged) -> list[Fold]:
    """Parts of whole groups, as indices of words.

    Raises:
        TooFewGroups: there are fewer groups than parts.
    """
    owners = [g for g, tags in zip(tagged.groups, tagged.tags, strict=True) for _ in tags]
    found = len(set(owners))
    if found < study.folds:
        raise TooFewGroups(found, study.folds)
    splitter = GroupKFold(study.folds, shuffle=True, random_state=study.seed)
    return list(splitter.split(owners, groups=owners))


def control_tags(words: Words, *, seed: int) -> PerWord:
    """A random tag for each word type, as often as tags occur; the same wherever it stands."""
    rng = np.random.default_rng(seed)
    by_type = rng.choice(words.tags, size=int(words.types.max()) + 1)
    drawn: PerWord = by_type[words.types]
    return drawn


def first_occurrences(types: PerWord, folds: list[Fold]) -> Chosen:
    """One word of each type that no other part holds: where it first occurs.

    A type counts once, however often it stands, because its control tag was drawn once.
    """
    chosen = np.zeros(len(types), dtype=bool)
    for train, test in folds:
        new = test[~np.isin(types[test], types[train])]
        _, first = np.unique(types[new], return_index=True)
        chosen[new[first]] = True
    return chosen


def said(
    probe: str, readings: NDArray[np.float32], tags: PerWord, folds: list[Fold], study: Study
) -> PerWord:
    """What a probe says of each word, fitted on the other parts."""
    answers = np.empty(len(tags), dtype=np.int64)
    for train, test in folds:
        pipeline = _pipeline(probe, study).fit(readings[train], tags[train])
        answers[test] = pipeline.predict(readings[test])
    return answers


def commonest(everything: PerWord, judged: PerWord) -> Estimate:
    """Share that is right where always the commonest tag of all is said."""
    return rate(int((judged == np.bincount(everything).argmax()).sum()), len(judged))


def _rows(study: Study, words: Words, control: PerWord, folds: list[Fold]) -> Iterator[Selective]:
    new = first_occurrences(words.types, folds)
    steps = len(study.stream) * len(PROBES)
    with solver_warnings_silenced(), progress(study.console, "fitting", steps, "probes") as advance:
        for column, site in enumerate(study.stream):
            readings = words.readings[:, column]
            for probe in PROBES:
                true, random = (
                    said(probe, readings, tags, folds, study) == tags
                    for tags in (words.tags, control)
                )
                advance(1)
                yield Selective(
                    site=site,
                    probe=probe,
                    tags=_share(true),
                    control=_share(random),
                    new_tags=_share(true[new]),
                    new_control=_share(random[new]),
                )


def _share(right: Chosen) -> Estimate:
    return rate(int(right.sum()), len(right))


def _pipeline(probe: str, study: Study) -> Pipeline:
    if probe == "linear":
        fit = LogisticRegression(C=study.strength, max_iter=ITERATIONS_MAX)
    else:
        fit = MLPClassifier(
            (UNITS,),
            alpha=PENALTY,
            learning_rate_init=LEARNING_RATE,
            max_iter=EPOCHS,
            random_state=study.seed,
        )
    return make_pipeline(StandardScaler(), fit)


def _numbers(names: list[str]) -> PerWord:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _found(rows: list[Selective], chances: dict[str, Estimate]) -> Iterator[str]:
    for probe in PROBES:
        own = [row for row in rows if row.probe == probe]
        best, first = max(own, key=lambda row: row.tags.value), own[0]
        yield (
            f"{probe}: parts of speech {share(first.tags)} at {site_names((first.site,))}, best "
            f"{share(best.tags)} at {site_names((best.site,))}, there with selectivity "
            f"{share(best.selectivity)}, n={best.tags.n}."
        )
    worst = max(rows, key=lambda row: row.new_control.value)
    yield (
        f"Control on new words: at most {share(worst.new_control)}, n={worst.new_control.n}, where "
        f"the commonest random tag is right in {share(chances['new_control'])}."
    )


def _table(rows: list[Selective], chances: dict[str, Estimate], tagged: Tagged) -> Table:
    title = f"{tagged.dataset.name}: {rows[0].tags.n} words, {rows[0].new_tags.n} of them new"
    heads = ("tags", "control", "selectivity", "tags, new", "control, new")
    table = Table("site", "probe", *heads, title=title)
    for row in rows:
        figures = (row.tags, row.control, row.selectivity, row.new_tags, row.new_control)
        table.add_row(site_names((row.site,)), row.probe, *map(share, figures))
    always = (chances["tags"], chances["control"], None, None, chances["new_control"])
    table.add_row("commonest tag", "", *map(share, always), style="dim")
    return table
