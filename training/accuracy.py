"""One fit per layer on one part, its accuracy on another: the textbook probe.

The pooled features and the weights are those of every other fit here, so that a
figure from this table can be compared with one from a sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.estimates import Estimate, auroc, rate
from probing.probe import Probe
from probing.spec import Site, Span
from training.collect import Collected
from training.datasets.splits import require_both_classes
from training.families import logistic_regression
from training.families.family import Answers, Fitted
from training.families.pooled import PooledPlane
from training.fit import as_probe, solver_warnings_silenced
from training.pool import Pooling, pool, pooling_for
from training.progress import progress
from training.score import live_peaks
from training.sweep import require_strengths
from training.tables import area, share, site_names


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One site's probe on the examples that it was not fitted on."""

    site: Site
    """What it reads."""
    train_accuracy: float
    """Share of its own examples that it gets right."""
    accuracy: Estimate
    """Share of the other examples that it gets right, with its exact interval."""
    auroc: Estimate
    """Of its logit on the pooled tokens."""
    live: Estimate | None
    """AUROC of the statistic that would trip live; None where the span is not of the answer."""
    converged: bool
    """Whether the solver came to an end."""

    def as_json(self) -> dict[str, Any]:
        """One entry of the JSON file."""
        return {
            "site": str(self.site),
            "train_accuracy": self.train_accuracy,
            "accuracy": self.accuracy.as_json(),
            "auroc": self.auroc.as_json(),
            "auroc_live": self.live and self.live.as_json(),
            "converged": self.converged,
        }


def aggregator_for(span: Span, how: str) -> AggregatorSpec:
    """The aggregator that says live what a slice of tokens says afterwards.

    Args:
        how: "mean", or "concat" to keep the tokens of a tail side by side.

    Raises:
        InvalidSpecification: another word, or `concat` without a tail.
    """
    if how == "concat" and span.kind == "tail":
        return AggregatorSpec("tail_concat", span.tokens)
    if how != "mean":
        expected = "mean, or concat together with a span tail:K"
        raise InvalidSpecification("pooling", f"{how} of {span}", expected)
    return (
        AggregatorSpec("tail_mean", span.tokens) if span.kind == "tail" else AggregatorSpec("mean")
    )


def accuracy_by_layer(
    train: Collected,
    tests: Sequence[Collected],
    *,
    sites: Sequence[Site],
    span: Span,
    aggregator: AggregatorSpec,
    inverse_strength: float,
    console: Console,
) -> list[list[LayerRow]]:
    """Fit each site on `train` and judge it on each of `tests`.

    Returns:
        One list for each test set, with a row for each site.

    Raises:
        EmptyClass: one of the parts lacks a class.
        UnknownSite: a site was not collected.
        InvalidSpecification: the penalty cannot be fitted with.
    """
    require_strengths([inverse_strength])
    for part in (train, *tests):
        require_both_classes(part.dataset)
    rows: list[list[LayerRow]] = [[] for _ in tests]
    with (
        solver_warnings_silenced(),
        progress(console, "fitting", len(sites), "fits") as advance,
    ):
        for site in sites:
            layer = _fitted(train, site, span, aggregator, inverse_strength)
            for test, own in zip(tests, rows, strict=True):
                own.append(_judged(layer, test))
            advance(1)
    return rows


def accuracy_table(rows: Sequence[LayerRow], title: str) -> Table:
    """The rows as a table."""
    heads = ("accuracy, fitted", "accuracy, held out", "AUROC", "AUROC, live")
    table = Table("site", *heads, title=title)
    top = max(rows, key=lambda row: row.accuracy.value)
    for row in rows:
        table.add_row(
            site_names((row.site,)) + ("" if row.converged else " ~ not converged"),
            f"{row.train_accuracy:.1%}",
            share(row.accuracy),
            area(row.auroc),
            area(row.live),
            style="bold" if row is top else "",
        )
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """One site's fit."""

    fitted: Fitted
    pooling: Pooling
    probe: Probe
    train_accuracy: float


def _fitted(
    train: Collected, site: Site, span: Span, aggregator: AggregatorSpec, inverse_strength: float
) -> _Layer:
    answers, pooling = Answers(train, [site]), pooling_for(aggregator, span)
    everything = np.arange(len(train.dataset))
    fitted = PooledPlane(logistic_regression.find, pooling).fit(
        answers, everything, strength=inverse_strength, seed=0
    )
    predicted = fitted.estimator.predict(answers.pooled(pooling))
    right = float(np.mean(predicted == train.dataset.labels))
    probe = as_probe(
        fitted,
        name="layer",
        fingerprint="",
        sites=[site],
        aggregator=aggregator,
        span=span,
        tokens_min=1,
    )
    return _Layer(fitted=fitted, pooling=pooling, probe=probe, train_accuracy=right)


def _judged(layer: _Layer, test: Collected) -> LayerRow:
    pipeline, probe = layer.fitted.estimator, layer.probe
    others, truth = pool(test, probe.sites, layer.pooling), test.dataset.labels
    right = pipeline.predict(others) == truth
    answered = probe.span.kind in ("response", "tail")
    return LayerRow(
        site=probe.sites[0],
        train_accuracy=layer.train_accuracy,
        accuracy=rate(int(right.sum()), len(right)),
        auroc=auroc(pipeline.decision_function(others), truth),
        live=auroc(live_peaks(test, probe), truth) if answered else None,
        converged=layer.fitted.converged,
    )
