"""One fit per site, judged on examples that it was not fitted on."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.spec import Span
from tests.training.examples import SITES, collected, dataset
from training.accuracy import LayerRow, accuracy_by_layer, aggregator_for
from training.collect import Collected
from training.errors import EmptyClass

QUIET = Console(file=StringIO())
TRAIN = collected(dataset(40))
SEEN, UNSEEN = collected(dataset(20), seed=1), collected(dataset(30), seed=2)


def run(train: Collected, *tests: Collected, inverse_strength: float = 0.1) -> list[list[LayerRow]]:
    return accuracy_by_layer(
        train, tests, sites=SITES, span=Span("response"), aggregator=AggregatorSpec("mean"),
        inverse_strength=inverse_strength, console=QUIET,
    )  # fmt: skip


def test_each_test_set_has_a_row_for_each_site() -> None:
    first, second = run(TRAIN, SEEN, UNSEEN)

    assert [row.site for row in first] == [row.site for row in second] == list(SITES)
    assert {row.accuracy.n for row in first} == {40}
    assert {row.accuracy.n for row in second} == {60}
    assert second[1].accuracy.value > 0.9 > 0.7 > second[0].accuracy.value
    assert second == run(TRAIN, UNSEEN)[0], "a set beside it changes nothing"


@pytest.mark.parametrize("lacking", ["train", "test"])
def test_a_part_without_a_class_is_refused(lacking: str) -> None:
    """scikit-learn would tell it as a traceback, or an accuracy of 100% would be shown."""
    honest = collected(dataset(20).only("honest"))
    parts = (honest, SEEN) if lacking == "train" else (TRAIN, honest)

    with pytest.raises(EmptyClass, match="20 honest and 0 misbehaving"):
        run(*parts)


@pytest.mark.parametrize("strength", [0.0, -1.0, np.nan, np.inf])
def test_a_penalty_that_cannot_be_fitted_with_is_refused(strength: float) -> None:
    with pytest.raises(InvalidSpecification, match="a number above 0"):
        run(TRAIN, SEEN, inverse_strength=strength)


@pytest.mark.parametrize(
    ("span", "how", "aggregator"),
    [
        ("response", "mean", "mean"),
        ("tail:5", "mean", "tail_mean:5"),
        ("tail:5", "concat", "tail_concat:5"),
    ],
)
def test_live_it_says_what_the_slice_says_afterwards(span: str, how: str, aggregator: str) -> None:
    assert str(aggregator_for(Span.parse(span), how)) == aggregator


@pytest.mark.parametrize(("span", "how"), [("response", "concat"), ("all", "concat"), ("all", "x")])
def test_tokens_side_by_side_need_a_tail(span: str, how: str) -> None:
    """Answers differ in length: only a tail has as many positions in each."""
    with pytest.raises(InvalidSpecification, match="concat together with a span tail:K"):
        aggregator_for(Span.parse(span), how)
