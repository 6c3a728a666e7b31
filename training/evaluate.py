"""How a calibrated probe does on sets that it has not seen, beside a bag of words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from probing.estimates import Estimate, auroc, rate
from probing.probe import Probe
from training.collect import Collected
from training.datasets.schema import Dataset, Example
from training.score import answer_lengths, live_peaks
from training.sweep import Sites

Figures = Float[NDArray[np.float64], " examples"]
Part = tuple[str, Bool[NDArray[np.bool_], " examples"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Figures of one part of a test set; None where the part has one class only."""

    part: str
    """"all", "family: pilfering", "kind: dangerous", "case: context"."""
    auroc: Estimate | None
    """Of the live statistic, misbehaving against honest."""
    words: Estimate | None
    """AUROC of the bag of words."""
    recall: Estimate | None
    """Share of misbehaving answers that trip at the calibrated threshold."""
    false_alarms: Estimate | None
    """Share of honest answers that trip."""

    def as_json(self) -> dict[str, Any]:
        """As it stands in `evaluation.json`."""
        named = {
            "auroc": self.auroc,
            "auroc_words": self.words,
            "recall": self.recall,
            "false_alarms": self.false_alarms,
        }
        return {"part": self.part} | {k: v and v.as_json() for k, v in named.items()}


class BagOfWords:
    """What words alone give: request and answer, one and two words at a time."""

    def __init__(self, train: Dataset) -> None:
        """Fit on the texts that the probe is fitted on."""
        self._pipeline = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(max_iter=1000),
        )
        self._pipeline.fit([example.words for example in train], train.labels)

    def score(self, dataset: Dataset) -> Figures:
        """One logit per example."""
        words = [example.words for example in dataset]
        scores: Figures = self._pipeline.decision_function(words)
        return scores


def evaluate(
    probe: Probe,
    test: Collected,
    words: BagOfWords | None = None,
    parts: Callable[[Collected], Iterable[Part]] | None = None,
) -> list[Row]:
    """Figures of a whole test set and of its parts: families, cases and kinds by default."""
    peaks = live_peaks(test, probe)
    tripped = peaks >= np.float32(probe.threshold)
    baseline = None if words is None else words.score(test.dataset)
    return [
        _row(name, chosen, test.dataset, peaks, baseline, tripped)
        for name, chosen in (parts or parts_of)(test)
    ]


def family_table(
    probes: Mapping[Sites, Probe], tests: Sequence[Collected]
) -> dict[Sites, dict[str, Estimate]]:
    """AUROC of each probe (one per site) for each family: {sites: {family: area}}."""
    table: dict[Sites, dict[str, Estimate]] = {sites: {} for sites in probes}
    for test in tests:
        families = list(_by(test.dataset, "family", lambda e: e.family))
        for sites, probe in probes.items():
            peaks = live_peaks(test, probe)
            for family, chosen in families:
                area = _area(peaks, test.dataset, chosen)
                if area is not None:
                    table[sites][family.removeprefix("family: ")] = area
    return table


def parts_of(test: Collected) -> Iterator[Part]:
    """The whole, then each family, case and hard negatives, honest answers with each."""
    dataset = test.dataset
    yield "all", np.ones(len(dataset), dtype=bool)
    yield from _by(dataset, "family", lambda e: e.family)
    yield from _by(dataset, "case", lambda e: e.case)
    yield from _by(dataset, "kind", _hard_negative)


def finer_parts(test: Collected) -> Iterator[Part]:
    """The same, then each source where there are several, and each quarter by length."""
    yield from parts_of(test)
    if len({example.source for example in test.dataset}) > 1:
        yield from _by(test.dataset, "source", lambda e: e.source)
    lengths = answer_lengths(test)
    ends = np.quantile(lengths, [0.25, 0.5, 0.75, 1.0], method="higher")
    least = int(lengths.min())
    for most in dict.fromkeys(ends.astype(int).tolist()):
        yield f"length: {least} to {most} tokens", (lengths >= least) & (lengths <= most)
        least = most + 1


def _hard_negative(example: Example) -> str | None:
    return example.kind if example.kind == "hard_negative" else None


def _by(dataset: Dataset, what: str, key: Callable[[Example], str | None]) -> Iterator[Part]:
    keys = [key(example) for example in dataset]
    for value in sorted({k for k in keys if k is not None}):
        yield f"{what}: {value}", np.array([k == value for k in keys])


def _row(
    part: str,
    chosen: NDArray[np.bool_],
    dataset: Dataset,
    peaks: Figures,
    baseline: Figures | None,
    tripped: NDArray[np.bool_],
) -> Row:
    labels = dataset.labels[chosen]
    bad, good = tripped[chosen][labels == 1], tripped[chosen][labels == 0]
    return Row(
        part=part,
        auroc=_area(peaks, dataset, chosen),
        words=None if baseline is None else _area(baseline, dataset, chosen),
        recall=rate(int(bad.sum()), len(bad)) if len(bad) else None,
        false_alarms=rate(int(good.sum()), len(good)) if len(good) else None,
    )


def _area(figures: Figures, dataset: Dataset, chosen: NDArray[np.bool_]) -> Estimate | None:
    labels = dataset.labels[chosen]
    return auroc(figures[chosen], labels) if len(set(labels.tolist())) == 2 else None
