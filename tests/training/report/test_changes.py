"""What got worse since the last report is named."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.training.report.examples import evaluation_json, read, share
from training.report.changes import Comparison, compare


def changed(folder: Path, now: dict[str, Any], before: dict[str, Any] | None = None) -> Comparison:
    """A comparison of two evaluations, the example before."""
    return compare(read(folder, before), read(folder, now))


def with_recall(caught: int) -> dict[str, Any]:
    """The example with another recall on its dangerous set."""
    evaluation = deepcopy(evaluation_json())
    test = evaluation["sections"]["claim"]["figures"]["tests"][0]
    test["parts"][0]["recall"] = share(caught, 300)
    return evaluation


def test_nothing_is_lost_where_nothing_changed(tmp_path: Path) -> None:
    same = changed(tmp_path, evaluation_json())

    assert same.losses == ()
    assert same.cautions == ()
    assert {row.verdict for row in same.rows} == {"same"}


def test_a_loss_beyond_chance_is_told_from_one_within(tmp_path: Path) -> None:
    (clear,) = changed(tmp_path, with_recall(200)).losses
    (slight,) = changed(tmp_path, with_recall(295)).losses

    assert clear.startswith("grave matters, caught: 99.0% [97.1 to 99.8%], n = 300 before, 66.7%")
    assert clear.endswith("do not overlap.")
    assert slight.endswith("may be chance.")


def test_a_gain_is_no_loss_and_more_false_alarms_are(tmp_path: Path) -> None:
    better = with_recall(300)
    better["sections"]["claim"]["figures"]["tests"][1]["parts"][0]["false_alarms"] = share(9, 300)

    found = changed(tmp_path, better)

    assert [loss.split(":")[0] for loss in found.losses] == ["petty matters, false alarms"]
    assert found.rows[0].verdict == "better"


def test_more_answers_that_are_too_short_to_be_judged_are_a_loss(tmp_path: Path) -> None:
    """A probe that may trip later is right more often, and lets more through unseen."""
    later = evaluation_json()
    later["sections"]["claim"]["figures"]["tests"][0]["unmonitored"] = share(90, 600)

    (loss,) = changed(tmp_path, later).losses

    assert loss.startswith("grave matters, too short to be judged: ")


def test_a_set_that_is_new_is_no_loss(tmp_path: Path) -> None:
    fewer = evaluation_json()
    del fewer["sections"]["claim"]["figures"]["tests"][0]

    found = changed(tmp_path, evaluation_json(), before=fewer)

    assert found.losses == ()
    assert {row.verdict for row in found.rows if row.of == "grave matters"} == {"new"}


def test_what_is_no_longer_measured_is_a_loss(tmp_path: Path) -> None:
    """A set that is dropped because the probe does badly on it would go unseen."""
    fewer = evaluation_json()
    del fewer["sections"]["claim"]["figures"]["tests"][0]

    found = changed(tmp_path, fewer)

    assert "grave matters, caught: measured before and not now." in found.losses


def test_a_control_that_no_longer_passes_is_a_loss(tmp_path: Path) -> None:
    worse = evaluation_json()
    worse["sections"]["controls"]["figures"]["bag_of_words"]["warns"] = True
    del worse["sections"]["controls"]["figures"]["near_duplicates"]

    assert changed(tmp_path, worse).losses == (
        "Control bag of words: passed before and not now.",
        "Control near duplicates: passed before and is no longer measured.",
    )


def test_a_control_that_never_passed_is_not_lost_again(tmp_path: Path) -> None:
    failing = evaluation_json()
    failing["sections"]["controls"]["figures"]["bag_of_words"]["warns"] = True

    assert changed(tmp_path, failing, before=failing).losses == ()


def test_figures_of_another_model_or_other_answers_are_called_so(tmp_path: Path) -> None:
    other = evaluation_json(fingerprint="fedcba987654")
    other["subject"]["data"][1]["sha256"] = "c" * 64

    model, answers = changed(tmp_path, other).cautions

    assert "fingerprint differs" in model
    assert "grave matters" in answers


def test_other_answers_to_fit_on_are_what_a_new_version_is_made_of(tmp_path: Path) -> None:
    """Only test sets that differ make figures that cannot be compared."""
    refitted = evaluation_json()
    refitted["subject"]["data"][0]["sha256"] = "c" * 64

    assert changed(tmp_path, refitted).cautions == ()
