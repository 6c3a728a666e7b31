"""Families that give one logit per token, fitted alike whichever statistic is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from probing.aggregators import AggregatorSpec
from probing.spec import Span
from training.families.family import Answers, Method


@dataclass(frozen=True, slots=True, kw_only=True)
class PerTokenFamily:
    """They differ in their method alone; see `ProbeFamily`."""

    name: str
    method_on: Callable[[Span], Method]
    """How it is fitted on the tokens of a span."""
    sites_min: int = 1
    """Sites that a probe must read."""
    tuned = True

    def aggregators(
        self, wanted: Sequence[AggregatorSpec], answers: Answers
    ) -> tuple[AggregatorSpec, ...]:
        """All that read one score per token, where there are sites enough."""
        if len(answers.sites) < self.sites_min:
            return ()
        return tuple(a for a in wanted if a.channels == 1)

    def method(self, aggregator: AggregatorSpec, span: Span) -> Method:
        """The same for all of them."""
        return self.method_on(span)
