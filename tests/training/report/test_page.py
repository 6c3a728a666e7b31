"""The page says everything, says what is missing, and lets no data become markup."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from probing.estimates import Estimate
from tests.training.report.examples import area, claimed_set, evaluation_json, share
from tests.training.report.pages import Elements, normalised, page, shown, twin, worse
from training.report import page as pages
from training.report.sections import QUESTIONS

GOLDEN = Path(__file__).parent / "golden.html"
REFRESH = "REFRESH_GOLDEN"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;${7*7}{{7*7}}"
HERE = Path(pages.__file__).parent


def test_the_page_is_the_one_that_was_looked_at(tmp_path: Path) -> None:
    """`REFRESH_GOLDEN=1 pytest tests/training/report/test_page.py` writes it anew: look at it."""
    told = normalised(page(tmp_path, since=worse(), by="A team", interests="none known"))
    if os.environ.get(REFRESH):
        GOLDEN.write_text(told, "utf-8")

    assert told == GOLDEN.read_text("utf-8")


def test_a_name_that_the_template_gets_wrong_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be an empty place on the page, where a figure should stand."""
    for name in ("page.css", "regulation.toml"):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    (tmp_path / "page.html.jinja").write_text("{{ evaluation.prob }}")
    monkeypatch.setattr(pages, "HERE", tmp_path)

    with pytest.raises(UndefinedError, match="prob"):
        page(tmp_path)


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path, example: str) -> None:
    """Two copies of a report could not be compared."""
    assert page(tmp_path) == example


def test_an_id_in_the_first_column_keeps_its_letters(tmp_path: Path) -> None:
    """Nobody would find the example under the name that the page gives it."""
    evaluation = evaluation_json()
    (duplicates,) = evaluation["sections"]["controls"]["figures"]["near_duplicates"]["sets"]
    duplicates["worst"] = [{"id": "v1-lost_property-0100", "of": "v1-lost_property-0138"}]

    told = shown(page(tmp_path, evaluation))

    assert "v1-lost_property-0100 v1-lost_property-0138" in told


def test_rates_of_findings_are_percentages_as_everywhere_on_the_page(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    stress = evaluation["sections"]["stress"]
    stress["findings"] = [f"It catches {Estimate(**share(70, 100))} of them."]
    stress["refusals"] = ["100 answers cannot support a false-positive rate of 0.001"]

    told = shown(page(tmp_path, evaluation))

    assert "It catches 70.0% [60.0, 78.8] n=100 of them." in told
    assert "a false-positive rate of 0.1%" in told


def test_probabilities_of_a_table_stand_in_the_unit_of_the_shares_beside_them(example: str) -> None:
    assert "low high predicted observed 0% 10% 3% 2.0% 0.2 to 7.0%, n = 100" in shown(example)


def test_a_rate_in_a_remark_of_a_table_is_a_percentage(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    (row,) = evaluation["sections"]["thresholds"]["figures"]["rows"]
    row["refusal"] = "100 answers cannot support a rate of 0.001"

    assert "cannot support a rate of 0.1%" in shown(page(tmp_path, evaluation))


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_section_that_is_missing_says_that_it_was_not_measured(tmp_path: Path, name: str) -> None:
    evaluation = evaluation_json()
    evaluation["sections"].pop(name, None)

    told = shown(page(tmp_path, evaluation))

    title = QUESTIONS[name].title
    asks = QUESTIONS[name].asks
    assert f"{title} {asks} Not measured: the evaluation has no such section." in told
    assert title in told.split("Not measured in this evaluation:")[1].split(".")[0]


def test_an_evaluation_of_nothing_still_makes_a_page(tmp_path: Path) -> None:
    html = page(tmp_path, evaluation_json() | {"sections": {}, "subject": {"probe": "a@1"}})

    assert shown(html).count("not measured") >= 6 + len(QUESTIONS)
    assert "<svg" not in html


def test_a_section_that_this_version_does_not_know_is_shown(tmp_path: Path) -> None:
    """A newer evaluation's finding against a probe must not be left out by an older report."""
    evaluation = evaluation_json()
    evaluation["sections"]["novel"] = {
        "title": "A novel section",
        "findings": ["It found something."],
        "figures": {"deep": {"deeper": [{"x": {"y": 7}}, {"x": {"y": 8}}]}},
    }

    told = shown(page(tmp_path, evaluation))

    assert "A novel section" in told
    assert "It found something." in told
    assert "x: y" in told


def test_what_a_section_refused_is_on_the_page(example: str) -> None:
    assert "grave matters, recall at 0.1%: too few honest answers" in shown(example)


def test_no_text_from_data_becomes_markup(tmp_path: Path) -> None:
    """A data set's name would run in the browser of whoever reads the report."""
    evaluation = evaluation_json(
        probe=HOSTILE, family=HOSTILE, libraries={HOSTILE: HOSTILE}, sites=[HOSTILE]
    )
    for section in evaluation["sections"].values():
        section |= {"title": HOSTILE, "findings": [HOSTILE], "refusals": [HOSTILE]}
        section["figures"] = renamed(section["figures"])
    figures = {name: section["figures"] for name, section in evaluation["sections"].items()}
    figures["generalisation"]["matrix"][HOSTILE] = {HOSTILE: area(0.5)}
    figures["controls"][HOSTILE] = {HOSTILE: area(0.5), "warns": True}
    figures["replay"][HOSTILE] = {HOSTILE: {HOSTILE: [1]}}

    elements = Elements(page(tmp_path, evaluation, by=HOSTILE, interests=HOSTILE))

    tags = {tag for tag, _ in elements.found}
    attributes = {name for _, own in elements.found for name in own}
    assert not tags & {"script", "img", "iframe", "object", "link"}
    assert not any(name.startswith("on") for name in attributes)
    assert sum(HOSTILE in words for words in elements.words) > 50


def renamed(figures: Any) -> Any:
    """Every text in figures made hostile."""
    if isinstance(figures, dict):
        return {key: renamed(value) for key, value in figures.items()}
    if isinstance(figures, list):
        return [renamed(one) for one in figures]
    return HOSTILE if isinstance(figures, str) else figures


def test_the_page_loads_nothing(example: str) -> None:
    """A report must read the same in ten years, and tell nobody that it is read."""
    elements = Elements(example)

    policies = [a.get("content") for t, a in elements.found if t == "meta" and "http-equiv" in a]
    sources = [(t, a) for t, a in elements.found if {"src", "srcset", "data"} & a.keys()]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert sources == []
    assert not {"script", "link"} & {t for t, _ in elements.found}


def test_no_two_elements_share_an_id(example: str) -> None:
    """A drawing would take another's marks, and a link would lead to the wrong place."""
    ids = [own["id"] for _, own in Elements(example).found if "id" in own]
    links = [own["href"] for tag, own in Elements(example).found if tag == "a"]

    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link and link.startswith("#")} <= set(ids)


def test_who_measured_is_not_stated_unless_somebody_says_it(tmp_path: Path, example: str) -> None:
    assert "By not stated Conflicts of interest not stated" in shown(example)
    assert "By A team Conflicts of interest B & C" in shown(
        page(tmp_path, by="A team", interests="B & C")
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"name": "magpie", "path": "magpie"}, True),
        ({"name": "mine", "path": "somewhere/magpie"}, True),
        ({"name": "gpt2", "path": "gpt2"}, False),
        (None, False),
    ],
)
def test_the_bundled_model_is_called_no_evidence_about_others(
    tmp_path: Path, model: dict[str, str] | None, said: bool
) -> None:
    """Its perfect figures would be taken for those of a real model, and the other way round."""
    html = page(tmp_path, evaluation_json(model=model))

    assert ("no evidence that one works on a large model" in html) is said


def test_dates_of_the_law_stand_in_one_dated_file(example: str) -> None:
    """A date in prose would stay when the law moves."""
    law = tomllib.loads((HERE / "regulation.toml").read_text("utf-8"))
    told = shown(example)
    prose = [p for p in HERE.iterdir() if p.suffix in {".py", ".jinja", ".css"}]

    assert law["source"]
    assert f"Regulation, as of {law['as_of']}" in told
    assert law["basis"] in told
    for date in law["date"]:
        assert f"{date['whose']} {date['applies_from']}" in told
        assert not [p.name for p in prose if str(date["applies_from"].year) in p.read_text("utf-8")]
    for clause in law["clause"]:
        assert clause["name"] in told
        assert not [p.name for p in prose if clause["name"].split(",")[0] in p.read_text("utf-8")]


def test_every_figure_stands_with_its_interval_and_n(example: str) -> None:
    figures = re.findall(r'<span class="figure">(.*?)</span></span>', example)

    assert len(figures) > 50
    assert all(re.search(r"\sto\s.*, n&nbsp;=&nbsp;[\d,]+$", one) for one in figures)


def test_losses_are_named(tmp_path: Path) -> None:
    told = shown(page(tmp_path, worse(), since=evaluation_json()))

    assert "Losses grave matters, caught: 99.0% [97.1 to 99.8%], n = 300 before, 66.7%" in told


def test_the_twin_holds_page_one(tmp_path: Path) -> None:
    found = twin(tmp_path, worse(), since=evaluation_json(), by="A team")

    assert found["rule"]["outcome"] == "not met"
    assert [one["outcome"] for one in found["rule"]["conditions"]] == ["not met", "met", "met"]
    assert found["figures"][0]["figure"] == share(200, 300)
    assert (found["by"], found["interests"]) == ("A team", "not stated")
    assert len(found["losses"]) == 1
    assert found["conclusion"] in page(tmp_path, worse())


def test_the_twin_holds_no_number_that_json_has_not(tmp_path: Path) -> None:
    """A machine that reads it would stop there, or take it for a figure."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        twin(tmp_path, minutes_per_case=float("nan"))


def test_more_sets_than_a_plot_can_tell_apart_are_said_to_be_left_out(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"] += [
        claimed_set(f"set {number}", dangerous=True, caught=290, alarms=3) for number in range(6)
    ]

    assert "2 of 8 sets stand in the tables only." in shown(page(tmp_path, evaluation))


def test_what_came_of_a_control_is_told_in_words(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    evaluation["sections"]["controls"]["figures"]["bag_of_words"]["warns"] = True

    told = shown(page(tmp_path, evaluation))

    assert "control outcome bag of words speaks against the probe near duplicates passed" in told


def test_a_missing_figure_is_told_from_a_remark_that_nobody_made(tmp_path: Path) -> None:
    """ "Refusal: not measured" would say the opposite of what is meant."""
    evaluation = evaluation_json()
    evaluation["sections"]["thresholds"]["figures"] = {
        "kinds": [
            {"set": "a", "recall": None, "refusal": None},
            {"set": "b", "recall": None, "refusal": None},
        ]
    }

    assert "set caught refusal a not measured – b not measured –" in shown(
        page(tmp_path, evaluation)
    )


def test_no_finding_is_left_out(tmp_path: Path) -> None:
    findings = [f"finding number {number}" for number in range(9)]
    evaluation = evaluation_json()
    evaluation["sections"]["delay"]["findings"] = findings

    told = shown(page(tmp_path, evaluation))

    assert [told.count(finding) for finding in findings] == [1] * 9
