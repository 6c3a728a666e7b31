"""Drawings are the same each time, carry their text as text and take the page's colours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from probing.estimates import rate
from tests.training.report.examples import claimed_set, evaluation_json, read
from training.report import plots
from training.report.evaluation import ClaimedSet
from training.report.plots import Plot


def drawn(folder: Path, *names: str) -> list[Plot]:
    """ROC, DET and precision against recall of sets with these names."""
    evaluation = evaluation_json()
    evaluation["sections"]["claim"]["figures"]["tests"] = [
        claimed_set(name, dangerous=True, caught=290, alarms=3) for name in names
    ]
    tests: tuple[ClaimedSet, ...] = read(folder, evaluation).tests
    made = [draw(tests) for draw in (plots.roc, plots.det, plots.precision_recall)]
    return [plot for plot in made if plot]


def test_the_same_figures_give_the_same_drawing(tmp_path: Path) -> None:
    assert drawn(tmp_path, "one", "two") == drawn(tmp_path, "one", "two")


@pytest.mark.parametrize("name", ["<script>x</script>", "$\\frac{1}{0$", "a & b", "]]>", "图表"])
def test_a_name_is_drawn_as_it_is_written(tmp_path: Path, name: str) -> None:
    """As mathematics a dollar sign would end the report; as markup it would run."""
    for plot in drawn(tmp_path, name):
        texts = [element.text for element in ElementTree.fromstring(plot.svg).iter("text")]
        assert name in texts
        assert "<script" not in plot.svg


def test_every_colour_is_one_of_the_pages(tmp_path: Path) -> None:
    """A fixed one would be black on black in the dark."""
    for plot in drawn(tmp_path, *map(str, range(6))):
        assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r"url\(#.*?\)|href=\"#.*?\"", "", plot.svg))


def test_every_line_has_a_dash_or_a_marker_of_its_own() -> None:
    """Colour alone tells nothing on grey paper, nor to the colour-blind."""
    assert len({str(style) for style in plots.STYLES}) == plots.SERIES_MAX
    assert len({marker for _, marker in plots.STYLES}) == plots.SERIES_MAX


def test_a_drawing_brings_no_style_and_no_date(tmp_path: Path) -> None:
    """A style inside a drawing would hold for the whole page."""
    for plot in drawn(tmp_path, "one"):
        tags = {element.tag for element in ElementTree.fromstring(plot.svg).iter()}
        assert not tags & {"style", "metadata"}


def test_what_is_drawn_is_said(tmp_path: Path) -> None:
    for plot in drawn(tmp_path, "one"):
        root = ElementTree.fromstring(plot.svg)
        assert (root.get("role"), root.get("aria-label")) == ("img", plot.caption)


def test_nothing_is_drawn_of_nothing() -> None:
    assert plots.roc(()) is None
    assert plots.stress("set", ()) is None
    assert plots.efficiency("set", ()) is None
    assert plots.delay("set", ()) is None
    assert plots.reliability(()) is None


def test_a_row_without_a_figure_keeps_its_place() -> None:
    """A stress that could not be measured would lend its label to the next one."""
    some = {"recall": rate(9, 10), "false_alarms": None}

    plot = plots.stress("set", [("one", some), ("two", {}), ("three", some)])

    assert plot is not None
    texts = [element.text for element in ElementTree.fromstring(plot.svg).iter("text")]
    assert {"one", "two", "three"} <= set(texts)


def test_only_drawing_loads_matplotlib() -> None:
    """The command's help would take a second, and need what reading needs not."""
    code = "import sys, training.report.cli; sys.exit('matplotlib' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
