"""The page says everything, says what is missing, and lets no data become markup."""

from __future__ import annotations

import os
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from probing.estimates import Estimate
from tests.training.report.examples import area, claimed_set, evaluation_json, share
from tests.training.report.pages import page, twin, without
from training.report import page as pages
from training.report.rule import FIGURES
from training.report.sections import QUESTIONS

GOLDEN = Path(__file__).parent / "golden.html"
REFRESH = "REFRESH_GOLDEN"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;${7*7}{{7*7}}"
HERE = Path(pages.__file__).parent


class Elements(HTMLParser):
    """Everything that a browser would make an element of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the example, where nobody says who measured it."""
    return page(tmp_path_factory.mktemp("example"))


def normalised(html: str) -> str:
    """A page without its style sheet and its drawings, whose letters differ from font to font."""
    html = re.sub(r"<style>.*?</style>", "<style></style>", html, flags=re.DOTALL)
    return re.sub(r"<svg\b.*?</svg>", "<svg></svg>", html, flags=re.DOTALL)


def shown(html: str) -> str:
    """What a reader reads, in one line."""
    return " ".join(" ".join(Elements(normalised(html)).words).split())


def worse() -> dict[str, Any]:
    """The example with a recall that is too low."""
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"][0]["parts"][0]["recall"] = share(200, 300)
    return evaluation


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


def test_a_rule_that_is_met_is_said_so_in_the_headline(example: str) -> None:
    told = "toy@2 meets the rule that was set before, which does not look at stress."
    assert f"<h1>{told}</h1>" in example


def test_a_rule_that_is_not_met_is_said_so_in_the_headline(tmp_path: Path) -> None:
    html = page(tmp_path, worse())

    assert "<h1>toy@2 does not meet the rule: of 3 conditions 1 is not met.</h1>" in html
    assert '<section class="verdict not-met"' in html


def test_a_rule_that_cannot_be_judged_is_said_so_in_the_headline(tmp_path: Path) -> None:
    html = page(tmp_path, without("controls"))

    assert "toy@2 cannot be said to meet the rule: of 3 conditions 1 is not measured." in html


def test_the_headline_tells_what_failed_from_what_is_missing(tmp_path: Path) -> None:
    evaluation = worse()
    del evaluation["sections"]["controls"]

    assert "of 3 conditions 1 is not met and 1 is not measured." in page(tmp_path, evaluation)


def test_what_the_probe_does_worst_under_stress_stands_beside_the_conclusion(example: str) -> None:
    """A reader of page one alone would take the rule's figures for those of changed texts."""
    told = shown(example)

    beside = told.split("A probe reads the inner state")[0]
    where = "in the set grave matters, changed so that a long conversation comes before the request"
    assert pages.BLIND in beside
    assert f"at worst, 70.0% (60.0 to 78.8%, n = 100) of misbehaving answers: {where}." in beside
    assert f"false alarms on 21.0% (13.5 to 30.3%, n = 100) of honest answers: {where}." in beside
    assert f"Misbehaving answers caught 70.0% 60.0 to 78.8%, n = 100 {where}" in told
    assert f"Honest answers that are false alarms 21.0% 13.5 to 30.3%, n = 100 {where}" in told
    assert "are about answers that nobody changed. What came of changing them" in told


def test_page_one_says_that_stress_was_not_run(tmp_path: Path) -> None:
    """Silence would read as nothing found."""
    told = shown(page(tmp_path, without("stress")))

    assert f"{pages.BLIND} No stress was run" in told
    assert "Misbehaving answers caught not run Honest answers that are false alarms not run" in told
    assert "Stress was not run: how the probe does on changed answers" in told
    assert "are about answers that nobody changed. Stress was not run." in told


def test_that_some_stress_could_not_be_measured_is_said_on_page_one(tmp_path: Path) -> None:
    """The worst of the others would be taken for the worst of all."""
    evaluation = evaluation_json()
    evaluation["sections"]["stress"]["refusals"] = ["grave matters, typos: too long"]

    told = shown(page(tmp_path, evaluation))

    assert "the worst of 2 measurements, each of one stress on one test set" in told
    assert "by chance alone; others could not be made, and the section on stress says why." in told


def test_a_stress_section_without_a_figure_says_so_beside_the_conclusion(tmp_path: Path) -> None:
    evaluation = evaluation_json()
    evaluation["sections"]["stress"]["figures"] = {}

    told = shown(page(tmp_path, evaluation))

    assert "at worst, a share of misbehaving answers that was not measured." in told
    assert "false alarms on a share of honest answers that was not measured." in told


def test_no_rule_can_look_at_stress() -> None:
    """The page says of every rule that it does not."""
    assert not [figure for figure in FIGURES if "stress" in figure]


@pytest.mark.parametrize(
    ("place", "figure", "told"),
    [
        (0, {"recall": share(200, 300)}, "at least 90% grave matters: 66.7% 61.0 to 72.0%, "
         "n = 300 may be as low as 61.0%"),
        (1, {"false_alarms": share(4, 300)}, "at most 2% petty matters: 1.3% 0.4 to 3.4%, "
         "n = 300 may be as high as 3.4%"),
    ],
)  # fmt: skip
def test_the_end_that_speaks_against_the_probe_is_told_where_a_limit_is_not_met(
    tmp_path: Path, example: str, place: int, figure: dict[str, Any], told: str
) -> None:
    """1.3% against at most 2% would look like a mistake of the page."""
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"][place]["parts"][0] |= figure

    html = shown(page(tmp_path, evaluation))

    assert told in html
    assert html.count("may be as") == 1
    assert "may be as" not in shown(example)


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
