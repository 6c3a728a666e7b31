"""One probe per site, judged on examples that it was not fitted on.

The probe is the standardised regression of every other fit here, on the mean of an
answer's tokens. Only who is fitted on and who is judged differs between experiments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from probing.estimates import Estimate, auroc, rate
from probing.spec import Site, Span
from training.collect import Collected
from training.datasets.schema import Dataset
from training.datasets.splits import Fold, grouped_folds
from training.evaluate import BagOfWords
from training.experiments.study import Study
from training.families.logistic_regression import find
from training.fit import solver_warnings_silenced
from training.pool import Features, Pooling, pool
from training.progress import progress
from training.tables import area, share, site_names

Logits = Float[NDArray[np.float64], " examples"]
Labels = Int[NDArray[np.int64], " examples"]
ANSWER = Pooling(Span("response"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How well some logits tell the two labels apart."""

    accuracy: Estimate
    """Share of examples on the right side of 0."""
    auroc: Estimate
    """Whatever the threshold."""

    @classmethod
    def of(cls, logits: Logits, labels: Labels) -> Figures:
        """Judge one logit per example.

        Raises:
            UndefinedEstimate: a label is missing.
        """
        right = (logits > 0) == (labels == 1)
        return cls(accuracy=rate(int(right.sum()), len(right)), auroc=auroc(logits, labels))

    def as_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {"accuracy": self.accuracy.as_json(), "auroc": self.auroc.as_json()}

    def cells(self) -> tuple[str, str]:
        """As it stands in a table."""
        return share(self.accuracy), area(self.auroc)


def logits_by_site(
    study: Study, sites: Sequence[Site], judge: Callable[[Site], Logits]
) -> dict[Site, Logits]:
    """What each site's probe says of each example, with a bar."""
    found = {}
    with (
        solver_warnings_silenced(),
        progress(study.console, "fitting", len(sites), "sites") as advance,
    ):
        for site in sites:
            found[site] = judge(site)
            advance(1)
    return found


def held_out(study: Study, collected: Collected, sites: Sequence[Site]) -> dict[Site, Logits]:
    """Each example judged by a probe that was fitted on other situations.

    Raises:
        EmptyClass, TooFewSituations: the set cannot be dealt out.
        UnknownSite: a site was not collected.
    """
    folds = folds_of(study, collected.dataset)
    labels = collected.dataset.labels

    def judge(site: Site) -> Logits:
        return over_folds(pool(collected, [site], ANSWER), labels, folds, study.strength)

    return logits_by_site(study, sites, judge)


def carried_over(
    study: Study, fitting: Collected, test: Collected, sites: Sequence[Site]
) -> dict[Site, Logits]:
    """Each example of one set judged by a probe that was fitted on all of another."""

    def judge(site: Site) -> Logits:
        features, others = (pool(one, [site], ANSWER) for one in (fitting, test))
        return elsewhere(features, fitting.dataset.labels, others, study.strength)

    return logits_by_site(study, sites, judge)


def words_held_out(study: Study, dataset: Dataset) -> Figures:
    """What a bag of words gives on the same parts: request and answer, without any model."""
    logits = np.empty(len(dataset))
    for train, test in folds_of(study, dataset):
        words = BagOfWords(dataset.select(train.tolist()))
        logits[test] = words.score(dataset.select(test.tolist()))
    return Figures.of(logits, dataset.labels)


def folds_of(study: Study, dataset: Dataset) -> list[Fold]:
    """Parts of whole situations.

    Raises:
        EmptyClass, TooFewSituations: the set cannot be dealt out.
    """
    return grouped_folds(dataset, folds=study.folds, seed=study.seed)


def over_folds(
    features: Features, labels: Labels, folds: Sequence[Fold], strength: float
) -> Logits:
    """The logit of each example by the fit that has not seen it."""
    logits = np.empty(len(labels))
    for train, test in folds:
        logits[test] = elsewhere(features[train], labels[train], features[test], strength)
    return logits


def elsewhere(features: Features, labels: Labels, others: Features, strength: float) -> Logits:
    """Fit on some vectors, and give the logits of others."""
    plane = find(features, labels, strength)
    logits: Logits = plane.estimator.decision_function(others.astype(np.float64))
    return logits


def best_of(figures: dict[Site, Figures]) -> Site:
    """The site of the highest AUROC, the first among equals."""
    return max(figures, key=lambda site: figures[site].auroc.value)


def told(site: Site, figures: Figures) -> str:
    """A site and its AUROC, in a sentence."""
    return f"AUROC {figures.auroc} at {site_names((site,))}"
