"""A rule is data, is judged at the worst end, and is never met by what was not measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.report.examples import evaluation_json, read, share
from training.report.errors import RuleUnreadable
from training.report.rule import DEFAULT_RULE, Outcome, Rule, read_rule, worst

RECALL = 'says = "caught"\nfigure = "recall"\nsets = "dangerous"\nat_least = 0.9'
ALARMS = 'says = "few"\nfigure = "false_alarms"\nsets = "harmless"\nat_most = 0.02'
CONTROLS = 'says = "controls"\nfigure = "controls"'


def rule(folder: Path, *conditions: str) -> Rule:
    """A rule of these conditions, through its file."""
    path = folder / "rule.toml"
    body = "".join(f"[[condition]]\n{condition}\n" for condition in conditions)
    path.write_text(f'name = "ready"\nset_on = 2026-01-02\n{body}')
    return read_rule(path)


@pytest.mark.parametrize(
    ("caught", "outcome"),
    [(297, Outcome.MET), (282, Outcome.MET), (275, Outcome.NOT_MET), (200, Outcome.NOT_MET)],
)
def test_a_share_that_must_be_high_is_judged_at_its_lower_end(
    tmp_path: Path, caught: int, outcome: Outcome
) -> None:
    """275 of 300 is 91.7%, which may well be 88%: chance alone would meet the rule."""
    evaluation = evaluation_json()
    grave = evaluation["sections"]["claim"]["figures"]["tests"][0]
    grave["parts"][0]["recall"] = share(caught, 300)

    (judged,) = rule(tmp_path, RECALL).judge(read(tmp_path, evaluation))

    assert judged.outcome is outcome


@pytest.mark.parametrize(("alarms", "outcome"), [(1, Outcome.MET), (4, Outcome.NOT_MET)])
def test_a_share_that_must_be_low_is_judged_at_its_upper_end(
    tmp_path: Path, alarms: int, outcome: Outcome
) -> None:
    evaluation = evaluation_json()
    petty = evaluation["sections"]["claim"]["figures"]["tests"][1]
    petty["parts"][0]["false_alarms"] = share(alarms, 300)

    (judged,) = rule(tmp_path, ALARMS).judge(read(tmp_path, evaluation))

    assert judged.outcome is outcome


def test_the_worst_of_the_named_sets_decides(tmp_path: Path) -> None:
    """One good set would hide a set on which the probe is blind."""
    evaluation = evaluation_json()
    tests = evaluation["sections"]["claim"]["figures"]["tests"]
    blind = {**tests[0], "name": "blind", "parts": [{**tests[0]["parts"][0]}]}
    blind["parts"][0]["recall"] = share(10, 300)
    tests.append(blind)

    (judged,) = rule(tmp_path, RECALL).judge(read(tmp_path, evaluation))

    assert [(c.of, c.outcome) for c in judged.checks] == [
        ("grave matters", Outcome.MET),
        ("blind", Outcome.NOT_MET),
    ]
    assert judged.outcome is Outcome.NOT_MET


@pytest.mark.parametrize("condition", [RECALL, ALARMS, CONTROLS])
def test_what_was_not_measured_is_not_met(tmp_path: Path, condition: str) -> None:
    """No test set at all would otherwise meet every limit."""
    evaluation = read(tmp_path, evaluation_json() | {"sections": {}})

    (judged,) = rule(tmp_path, condition).judge(evaluation)

    assert judged.outcome is Outcome.NOT_MEASURED


def test_one_figure_that_is_missing_keeps_a_condition_from_being_met(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"][0]["parts"][0]["recall"] = None

    (judged,) = rule(tmp_path, RECALL).judge(read(tmp_path, evaluation))

    assert judged.outcome is Outcome.NOT_MEASURED


def test_a_control_that_warns_or_was_refused_keeps_the_controls_from_passing(
    tmp_path: Path,
) -> None:
    evaluation = evaluation_json()
    controls = evaluation["sections"]["controls"]
    controls["refusals"] = ["untrained model: too large"]
    refused = rule(tmp_path, CONTROLS).judge(read(tmp_path, evaluation))
    controls["figures"]["bag_of_words"]["warns"] = True
    warned = rule(tmp_path, CONTROLS).judge(read(tmp_path, evaluation))

    assert refused[0].outcome is Outcome.NOT_MEASURED
    assert warned[0].outcome is Outcome.NOT_MET


def test_what_is_not_met_counts_before_what_is_not_measured() -> None:
    """ "Not measured" in the headline would hide that it failed."""
    assert worst([Outcome.MET, Outcome.NOT_MEASURED, Outcome.NOT_MET]) is Outcome.NOT_MET
    assert worst([Outcome.MET, Outcome.NOT_MEASURED]) is Outcome.NOT_MEASURED
    assert worst([]) is Outcome.NOT_MEASURED


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (RECALL.replace('"recall"', '"reccall"'), "'reccall' is none of"),
        (RECALL.replace('"dangerous"', '"grave"'), "'grave' is none of"),
        (RECALL.replace("at_least", "atleast"), "unexpected keyword"),
        (RECALL.replace("0.9", '"0.9"'), "a limit that is no number"),
        (RECALL.replace("\nat_least = 0.9", ""), "needs a limit"),
        (CONTROLS + "\nat_least = 0.9", "controls need none"),
        ('figure = "recall"\nat_least = 0.9', "missing 1 required"),
    ],
)
def test_a_rule_that_would_ask_something_else_is_refused(
    tmp_path: Path, condition: str, told: str
) -> None:
    """A mistyped limit that is passed over would let every probe meet the rule."""
    with pytest.raises(RuleUnreadable, match=told):
        rule(tmp_path, condition)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name = ",
        'name = "a"\nset_on = 2026-01-01\ncondition = []',
        f'name = "a"\nset_on = "soon"\n[[condition]]\n{RECALL}',
    ],
)
def test_a_rule_that_asks_nothing_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rule.toml"
    path.write_text(text)

    with pytest.raises(RuleUnreadable, match=r"after the pattern of training/report/rule\.toml"):
        read_rule(path)


def test_a_rule_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuleUnreadable, match=r"none\.toml: No such file"):
        read_rule(tmp_path / "none.toml")


def test_a_changed_rule_has_another_hash(tmp_path: Path) -> None:
    """A limit that is lowered after a look at the figures must be seen."""
    assert rule(tmp_path, RECALL).sha256 != rule(tmp_path, RECALL.replace("0.9", "0.8")).sha256


def test_the_projects_own_rule_asks_for_recall_false_alarms_and_controls() -> None:
    own = read_rule(DEFAULT_RULE)

    assert [c.figure for c in own.conditions] == ["recall", "false_alarms", "controls"]
