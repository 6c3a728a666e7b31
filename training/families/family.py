"""What a probe family is: how one kind of probe is fitted and for which statistics.

A family says with which aggregators it goes and by which method it is fitted for each.
Whatever it fits, it gives plain layers, which is all that is stored and served. Adding
one means one file here, one line in `table.py`, and its name in the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from probing.aggregators import AggregatorSpec
from probing.probe import Readout
from probing.spec import Site, Span
from training.collect import Collected
from training.datasets.schema import Dataset
from training.pool import Features, Pooling, pool

Examples = Int[NDArray[np.intp], " examples"]
TokenReadings = Float[NDArray[np.float32], "tokens sites d_model"]
Logits = Float[NDArray[np.float64], "tokens channels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fitted probe as plain layers, and what it was made from."""

    weights: Float[NDArray[np.float32], "sites rows d_model"]
    """Rows are the aggregator's channels, or the readout's inputs."""
    bias: Float[NDArray[np.float32], " rows"]
    """Added once per token and row."""
    readout: Readout | None = None
    """The second layer of a small network."""
    estimator: Any
    """What was fitted, kept as `probe.joblib` for the workshop."""
    converged: bool = True
    """False where the iterations ran out: its weights are not the optimum."""


class Answers:
    """A collected set as families read it, at some sites."""

    def __init__(self, collected: Collected, sites: Sequence[Site]) -> None:
        self.dataset = collected.dataset
        self.labels = collected.dataset.labels
        self.sites = tuple(sites)
        self._collected = collected
        self._pooled: dict[Pooling, Features] = {}

    def pooled(self, pooling: Pooling) -> Features:
        """One vector per example, shape [examples, features]; reckoned once.

        Raises:
            UnknownSite: a site was not collected.
        """
        if pooling not in self._pooled:
            self._pooled[pooling] = pool(self._collected, self.sites, pooling)
        return self._pooled[pooling]

    def tokens(self, example: int, span: Span) -> TokenReadings:
        """One example's tokens of a span, from the disk."""
        return self._collected.tokens(example, self.sites, span)

    def relabelled(self, dataset: Dataset) -> Answers:
        """The same readings under other labels; what was pooled holds none and is shared."""
        other = Answers(replace(self._collected, dataset=dataset), self.sites)
        other._pooled = self._pooled
        return other


class Method(Protocol):
    """One way of fitting; hashable, and equal ones share their fits."""

    def fit(self, answers: Answers, examples: Examples, *, strength: float, seed: int) -> Fitted:
        """Fit on some examples of a set.

        Args:
            examples: indices into the set; both labels are among them.
            strength: scikit-learn's C: smaller is a stronger penalty.
            seed: of all chance.
        """
        ...

    def fit_path(
        self, answers: Answers, examples: Examples, *, strengths: Sequence[float], seed: int
    ) -> list[Fitted]:
        """Fit at several strengths, in their order: here one after another."""
        return [self.fit(answers, examples, strength=one, seed=seed) for one in strengths]

    def logits(self, fitted: Fitted, readings: TokenReadings) -> Logits:
        """Channels as the estimator itself gives them: what exported forms must equal."""
        ...


class ProbeFamily(Protocol):
    """One kind of probe."""

    @property
    def name(self) -> str:
        """In manifests, tables and on the command line."""
        ...

    @property
    def tuned(self) -> bool:
        """Whether the penalty's strength changes anything."""
        ...

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """Those of the wanted statistics that it goes with, or its own; none if it cannot."""
        ...

    def method(self, aggregator: AggregatorSpec, span: Span) -> Method:
        """How it is fitted for a statistic, on the tokens of a span."""
        ...
