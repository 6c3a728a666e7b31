"""A new version that lost something is told so, with both figures."""

from __future__ import annotations

from typing import Any

import pytest

from training.evaluation.regressions import regressions


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.01, "high": value, "n": 200}


def figures(recall: float, auroc: float = 0.9) -> dict[str, Any]:
    """As the sections write them."""
    rows = [
        {"name": "undisturbed", "auroc": estimate(0.99), "recall": estimate(0.99)},
        {"name": "typos", "auroc": estimate(auroc), "recall": estimate(recall)},
    ]
    parts = [{"part": "all", "recall": estimate(0.95), "auroc_words": estimate(0.6)}]
    return {"stress": {"tests": [{"name": "petty", "rows": rows, "parts": parts}]}}


@pytest.mark.parametrize(("loss", "named"), [(0.0, 0), (0.019, 0), (0.02, 0), (0.021, 1)])
def test_two_points_may_be_lost_and_no_more(loss: float, named: int) -> None:
    losses = regressions(figures(0.9 - loss), figures(0.9))

    assert len(losses) == named


def test_a_loss_is_told_with_its_place_and_both_figures() -> None:
    (loss,) = regressions(figures(0.8), figures(0.9))

    assert loss == (
        "stress, tests, petty, rows, typos, recall: 0.800 [0.790, 0.800] n=200, "
        "and 0.900 [0.890, 0.900] n=200 in the parent"
    )


def test_areas_count_as_recall_does() -> None:
    (loss,) = regressions(figures(0.9, auroc=0.85), figures(0.9))

    assert "typos, auroc" in loss


def test_slices_and_stated_rates_are_compared_too() -> None:
    """A probe that loses one family may keep its figure over all."""
    new, parent = figures(0.9), figures(0.9)
    for tree, value in ((new, 0.5), (parent, 0.9)):
        (test,) = tree["stress"]["tests"]
        test["parts"].append({"part": "family: chores", "recall": estimate(value)})
        test["recall_at"] = [{"fpr": 0.01, "recall": estimate(value)}]

    losses = regressions(new, parent)

    assert [loss.split(": 0.")[0] for loss in losses] == [
        "stress, tests, petty, parts, family: chores, recall",
        "stress, tests, petty, recall_at, 0.01, recall",
    ]


def test_a_gain_is_no_loss() -> None:
    assert regressions(figures(0.99), figures(0.9)) == []


@pytest.mark.parametrize("gone", ["null", "absent", "test"])
def test_what_is_no_longer_measured_counts_as_lost(gone: str) -> None:
    """Else a version could pass by not being tested where it is worse."""
    new = figures(0.9)
    (test,) = new["stress"]["tests"]
    if gone == "null":
        test["rows"][1]["recall"] = None
    elif gone == "absent":
        del test["rows"][1]["recall"]
    else:
        test["name"] = "other"

    losses = regressions(new, figures(0.9))

    assert losses
    assert all(": not measured, and 0." in loss for loss in losses)


def test_rows_are_matched_by_their_names_and_not_by_their_order() -> None:
    new = figures(0.9)
    new["stress"]["tests"][0]["rows"].reverse()

    assert regressions(new, figures(0.9)) == []


def test_other_figures_and_points_of_plots_are_not_compared() -> None:
    """A bag of words that does worse is no loss of the probe."""
    new, parent = figures(0.9), figures(0.9)
    new["stress"]["tests"][0]["parts"][0]["auroc_words"] = estimate(0.1)
    new["points"] = [{"pairs": 4, "recall": estimate(0.1)}]
    parent["points"] = [{"pairs": 4, "recall": estimate(0.9)}]

    assert regressions(new, parent) == []
