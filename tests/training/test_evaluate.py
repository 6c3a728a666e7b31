"""Figures of test sets: whole and in parts, beside what words alone give."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from probing.aggregators import AggregatorSpec
from probing.probe import Probe
from tests.training.examples import SITES, collected, dataset
from training.evaluate import BagOfWords, evaluate, family_table
from training.score import live_peaks

DATA = dataset(30, families=3)


def telling(threshold: float = 1.5) -> Probe:
    """Reads the number that tells."""
    weights = np.zeros((1, 6), dtype=np.float32)
    weights[0, 0] = 1
    return Probe(
        name="p", version="0", fingerprint="", weights={SITES[1]: weights},
        bias=np.zeros(1, dtype=np.float32), aggregator=AggregatorSpec.parse("mean"),
        threshold=threshold, tokens_min=3,
    )  # fmt: skip


def test_rates_are_those_of_the_threshold_and_parts_add_up() -> None:
    test = collected(DATA)

    rows = {row.part: row for row in evaluate(telling(), test)}

    peaks, labels = live_peaks(test, telling()), DATA.labels
    whole = rows["all"]
    assert whole.recall is not None
    assert whole.false_alarms is not None
    assert whole.recall.value == np.mean(peaks[labels == 1] >= 1.5)
    assert whole.false_alarms.value == np.mean(peaks[labels == 0] >= 1.5)
    families = [row for name, row in rows.items() if name.startswith("family: ")]
    assert len(families) == 3
    assert sum(row.recall.n for row in families if row.recall) == 30


def test_an_answer_that_is_too_short_is_not_caught_and_ranks_lowest() -> None:
    """Live it cannot trip, so a report that counted it as caught would promise too much."""
    test = collected(DATA, lengths=[2, 2, 5, 5] * 15)

    rows = evaluate(telling(threshold=-1e9), test)

    whole = rows[0]
    assert whole.recall is not None
    assert whole.recall.value == 0.5
    assert whole.auroc is not None
    assert 0.5 < whole.auroc.value < 0.9, "half of the pairs are ties or lost"
    json.dumps([row.as_json() for row in rows], allow_nan=False)


def test_a_part_of_one_class_has_no_area() -> None:
    rows = evaluate(telling(), collected(DATA.only("honest")))

    assert rows[0].auroc is None
    assert rows[0].recall is None
    assert rows[0].false_alarms is not None


def test_cases_and_hard_negatives_are_reported_apart() -> None:
    examples = list(DATA.examples)
    examples[0] = replace(examples[0], kind="hard_negative")
    examples = [replace(e, case="context" if i < 20 else "word") for i, e in enumerate(examples)]

    rows = evaluate(telling(), collected(replace(DATA, examples=tuple(examples))))

    assert {"case: context", "case: word", "kind: hard_negative"} <= {row.part for row in rows}


def test_the_bag_of_words_reads_request_and_answer() -> None:
    """Without the request the baseline would be too weak on context cases."""
    answer = {"role": "assistant", "content": "x"}
    requests = [{"role": "user", "content": word} for word in ["calm", "storm"] * 30]
    told = [
        replace(example, messages=(request, answer))
        for example, request in zip(DATA, requests, strict=True)
    ]
    data = replace(DATA, examples=tuple(told))

    scores = BagOfWords(data).score(data)

    assert scores[data.labels == 1].min() > scores[data.labels == 0].max()


def test_the_family_table_has_a_figure_for_each_site_and_family() -> None:
    table = family_table({(SITES[1],): telling()}, [collected(DATA)])

    assert set(table[SITES[1],]) == {"family-0", "family-1", "family-2"}
    assert min(figure.value for figure in table[SITES[1],].values()) > 0.9
