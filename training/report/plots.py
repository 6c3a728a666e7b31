"""Plots as SVG inside the page: the same bytes for the same figures.

matplotlib draws with placeholder colours, and the drawing is then read as a tree: each
placeholder becomes a colour of the page's style sheet, so that one plot serves light, dark
and paper. Lines differ in dash and marker before they differ in colour. Text stays text,
none of it is read as mathematics, and the tree is written anew with its letters escaped.

matplotlib is imported when something is drawn and at no other time.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from probing.estimates import Estimate
from training.report.evaluation import ClaimedSet
from training.report.shown import Unit, number
from training.report.svg import INK, PAPER, QUIET, SERIES, inline

WIDTH, HEIGHT = 4.6, 3.5
"""Inches; two stand side by side on a wide page, one on a narrow one."""
STYLES: tuple[tuple[Any, str], ...] = (
    ("solid", "o"),
    ((0, (6, 2)), "s"),
    ((0, (1, 1.5)), "^"),
    ((0, (7, 2, 1, 2)), "D"),
    ((0, (3, 1.5)), "v"),
    ((0, (9, 3)), "P"),
)
"""Dash and marker of each line, one for each colour."""
SERIES_MAX = len(STYLES)
"""More lines than these cannot be told apart; the tables have all."""
LABEL_LETTERS = 24
"""Of a row's name, before it is wrapped."""
DECADES = (0.0001, 0.001, 0.01, 0.1, 1)
RATE_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8)
"""On axes of normal deviates."""
SETTINGS: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": QUIET,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}

Axes = Any
Points = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One drawing with what it says."""

    caption: str
    """In words, for those who do not see it too."""
    svg: Markup
    """Safe to stand in a page."""


def roc(tests: Sequence[ClaimedSet]) -> Plot | None:
    """Recall against false alarms on a log axis, with the shipped threshold's place."""
    drawn = _with_curve(tests, "roc")

    def draw(axes: Axes) -> None:
        left = min(_floor(test) for test in drawn)
        for style, test in enumerate(drawn):
            points = [(max(x, left), y) for x, y in test.curves["roc"]]
            _line(axes, style, test.name, points)
            _place(axes, style, test, left)
        axes.set(xscale="log", xlim=(left, 1), ylim=(-0.02, 1.06))
        axes.set(xlabel="false alarms, share of honest answers", ylabel="caught")
        _per_cent(axes.xaxis, [tick for tick in DECADES if left <= tick])
        _per_cent(axes.yaxis, (0, 0.25, 0.5, 0.75, 1))

    return _plot(
        "Caught against false alarms (ROC), false alarms on a log axis; the left edge stands for "
        "none. A large marker with its 95% intervals is the shipped threshold. "
        + _left_out(tests, drawn),
        draw if drawn else None,
    )


def det(tests: Sequence[ClaimedSet]) -> Plot | None:
    """Misses against false alarms on normal deviate axes (Martin et al., 1997)."""
    drawn = _with_curve(tests, "det")

    def draw(axes: Axes) -> None:
        from scipy.stats import norm

        edge = min(_floor(test) for test in drawn)
        for style, test in enumerate(drawn):
            points = [
                (min(max(x, edge), 0.9), min(max(y, edge), 0.9)) for x, y in test.curves["det"]
            ]
            _line(axes, style, test.name, points)
        for scale in (axes.set_xscale, axes.set_yscale):
            scale("function", functions=(norm.ppf, norm.cdf))
        axes.set(xlim=(edge * 0.8, 0.9), ylim=(edge * 0.8, 0.9))
        axes.set(xlabel="false alarms, share of honest answers", ylabel="missed")
        for axis in (axes.xaxis, axes.yaxis):
            _per_cent(axis, [tick for tick in RATE_TICKS if edge <= tick])

    return _plot(
        "Missed against false alarms (DET) on axes that stretch small shares; nearer to the lower "
        "left corner is better, and a line in the corner makes no error. "
        + _left_out(tests, drawn),
        draw if drawn else None,
    )


def precision_recall(tests: Sequence[ClaimedSet]) -> Plot | None:
    """Precision against recall, at each set's own share of misbehaving answers."""
    drawn = _with_curve(tests, "pr")

    def draw(axes: Axes) -> None:
        for style, test in enumerate(drawn):
            _line(axes, style, test.name, test.curves["pr"])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        axes.set(xlabel="caught", ylabel="share of alarms that are right")
        for axis in (axes.xaxis, axes.yaxis):
            _per_cent(axis, (0, 0.25, 0.5, 0.75, 1))

    return _plot(
        "How many alarms are right (precision) against how much is caught (recall), at the share "
        "of misbehaving answers in each set; where misbehaviour is rarer, fewer alarms are right. "
        + _left_out(tests, drawn),
        draw if drawn else None,
    )


def reliability(maps: Sequence[tuple[str, Sequence[tuple[float, Estimate]]]]) -> Plot | None:
    """Observed against stated probability, one line for each way to read the statistic."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
        for style, (name, bins) in enumerate(maps[:SERIES_MAX]):
            _dots(axes, style, name, [x for x, _ in bins], [observed for _, observed in bins])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        axes.set(xlabel="stated probability", ylabel="share that misbehaves")

    return _plot(
        "Stated against observed probability (reliability), with 95% intervals; on the thin line "
        "they are equal.",
        draw if maps else None,
    )


def efficiency(of: str, points: Sequence[tuple[int, Mapping[str, Estimate | None]]]) -> Plot | None:
    """Figures against the style of training pairs."""

    def draw(axes: Axes) -> None:
        for style, (key, label) in enumerate((("auroc", "AUROC"), ("recall", "caught"))):
            own = [(x, figure) for x, figures in points if (figure := figures.get(key))]
            if own:
                _dots(axes, style, label, [x for x, _ in own], [e for _, e in own], joined=True)
        axes.set(
            xscale="log", ylim=(-0.02, 1.03), xlabel="training pairs", ylabel="AUROC, share caught"
        )
        ticks = [x for x, _ in points][:: 1 + len(points) // 7]
        axes.set_xticks(ticks, labels=[f"{x:,}" for x in ticks])
        axes.minorticks_off()

    return _plot(
        f"{of}: how good a probe is by how many pairs it was trained on. Bars are 95% intervals, "
        "or the spread where several draws of so many pairs were tried.",
        draw if points else None,
    )


def stress(of: str, rows: Sequence[tuple[str, Mapping[str, Estimate | None]]]) -> Plot | None:
    """Caught and false alarms under each disturbance of a set, as dots with intervals."""

    def draw(axes: Axes) -> None:
        for style, (key, label) in enumerate(
            (("recall", "caught"), ("false_alarms", "false alarms"))
        ):
            shift = (style - 0.5) * 0.28
            own = [(y + shift, e) for y, (_, row) in enumerate(rows) if (e := row.get(key))]
            if own:
                _dots(axes, style, label, [y for y, _ in own], [e for _, e in own], level=True)
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-0.03, 1.03))
        labels = [textwrap.fill(name, LABEL_LETTERS) for name, _ in rows]
        axes.set_yticks(range(len(rows)), labels=labels)
        _per_cent(axes.xaxis, (0, 0.25, 0.5, 0.75, 1))

    return _plot(
        f"{of}: what the shipped threshold does under each disturbance. Round marks are the share "
        "caught, square ones false alarms, with 95% intervals.",
        draw if rows else None,
        height=1.1 + 0.42 * len(rows),
    )


def delay(of: str, counts: Sequence[tuple[int, int]]) -> Plot | None:
    """How many answers are stopped after which token."""

    def draw(axes: Axes) -> None:
        axes.bar(*zip(*counts, strict=True), color=SERIES[0], width=0.8)
        last = max(tokens for tokens, _ in counts)
        axes.set(xlim=(-0.5, last + 1), xlabel="tokens released before the stop", ylabel="answers")
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _plot(f"{of}: how much is out when the probe stops it.", draw if counts else None)


def _plot(caption: str, draw: Callable[[Axes], None] | None, height: float = HEIGHT) -> Plot | None:
    """A drawing, or None where there is nothing to draw."""
    if draw is None:
        return None
    import matplotlib
    from matplotlib.figure import Figure

    # the salt differs from plot to plot, so that no two of a page share an id
    settings: Any = {**SETTINGS, "svg.hashsalt": caption}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # text stays text, so the reader's fonts are asked and not these
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        draw(axes)
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower left", ncols=1)
        figure.savefig(buffer, format="svg")
    caption = caption.strip()
    return Plot(caption=caption, svg=inline(ElementTree.fromstring(buffer.getvalue()), caption))


def _with_curve(tests: Iterable[ClaimedSet], name: str) -> list[ClaimedSet]:
    return [test for test in tests if test.curves.get(name)][:SERIES_MAX]


def _left_out(tests: Sequence[ClaimedSet], drawn: Sequence[ClaimedSet]) -> str:
    """What a plot does not show, in words."""
    missing = len(tests) - len(drawn)
    return f"{missing} of {len(tests)} sets stand in the tables only." if missing else ""


def _floor(test: ClaimedSet) -> float:
    """Half of one false alarm: where a log axis puts none."""
    alarms = test.whole.false_alarms
    return 0.5 / alarms.n if alarms else 0.5 / 1000


def _line(axes: Axes, style: int, name: str, points: Points, *, marked: bool = False) -> None:
    dash, marker = STYLES[style]
    xs, ys = zip(*points, strict=True)
    axes.plot(
        xs,
        ys,
        color=SERIES[style],
        linestyle=dash,
        linewidth=1.8,
        marker=marker,
        markevery=1 if marked else 0.12,
        markersize=4,
        label=textwrap.shorten(name, 48),
    )


def _place(axes: Axes, style: int, test: ClaimedSet, left: float) -> None:
    """Where the shipped threshold stands on a ROC."""
    alarms, caught = test.whole.false_alarms, test.whole.recall
    if alarms is None or caught is None:
        return
    x = max(alarms.value, left)
    axes.errorbar(
        [x],
        [caught.value],
        xerr=[[max(0.0, x - alarms.low)], [max(0.0, alarms.high - x)]],
        yerr=_errors([caught]),
        color=SERIES[style],
        marker=STYLES[style][1],
        markersize=9,
        markerfacecolor=PAPER,
        markeredgewidth=1.8,
        capsize=3,
    )


def _dots(
    axes: Axes,
    style: int,
    label: str,
    places: Sequence[float],
    figures: Sequence[Estimate],
    *,
    level: bool = False,
    joined: bool = False,
) -> None:
    """Figures with their intervals: upright beside each other, or level under each other."""
    values = [figure.value for figure in figures]
    xs, ys = (values, places) if level else (places, values)
    axes.errorbar(
        xs,
        ys,
        xerr=_errors(figures) if level else None,
        yerr=None if level else _errors(figures),
        color=SERIES[style],
        marker=STYLES[style][1],
        markerfacecolor=PAPER if style else SERIES[style],
        linestyle=STYLES[style][0] if joined else "none",
        markersize=6,
        capsize=3,
        label=label,
    )


def _errors(figures: Sequence[Estimate]) -> list[list[float]]:
    return [
        [max(0.0, figure.value - figure.low) for figure in figures],
        [max(0.0, figure.high - figure.value) for figure in figures],
    ]


def _per_cent(axis: Any, ticks: Sequence[float]) -> None:
    axis.set_ticks(list(ticks), labels=[number(tick, Unit.SHARE) for tick in ticks])
    axis.set_minor_locator(_no_ticks())


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
