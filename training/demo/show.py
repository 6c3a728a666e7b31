"""What the demo prints: counts, shaded answers, the queue, metrics, figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.demo.rounds import Outcome

SHADES = ("grey23", "#4a3b20", "#7a5410", "#b06f00", "#e69f00", "#ffd27f")
"""Background from far below the threshold to above it; orange also reads for the colour-blind."""
METRICS = (
    "probewatch_answers_total",
    "probewatch_answers_finished_total",
    "probewatch_tokens_",
    "probewatch_threshold_crossings_total",
    "probewatch_flags_committed_total",
    "probewatch_cases_open",
    "probewatch_ready",
)
FIGURES = {
    "auroc_live": "dangerous families, all: AUROC",
    "auroc_live_word": "  where single words tell",
    "auroc_live_context": "  where only request and answer together tell",
    "auroc_live_benign": "benign families, new situations: AUROC",
    "recall_at_1pct_fpr": "dangerous caught at 1% false alarms",
    "recall_at_threshold": "dangerous caught at the shipped threshold",
    "recall_at_threshold_benign": "benign misbehaviour caught at it",
    "fpr_live": "false alarms at it, honest answers",
    "fpr_live_benign": "  in benign families, which set it",
    "fpr_live_dangerous": "  in dangerous families, which it never saw",
    "auroc_words": "bag of words, dangerous families: AUROC",
    "auroc_words_context": "  where only request and answer together tell",
}


def show_round(console: Console, name: str, outcomes: Sequence[Outcome]) -> None:
    """One line of counts, and when answers were halted, at which token."""
    halted = [o for o in outcomes if o.halted]
    flagged = sum(o.crossed and not o.halted for o in outcomes)
    unscored = sum(o.unscored for o in outcomes)
    passed = len(outcomes) - len(halted) - flagged - unscored
    line = Text(f"  {name:<11}")
    line.append(f"{passed:>5} passed", "green")
    line.append(f"{flagged:>6} over the threshold, observed", "yellow")
    line.append(f"{len(halted):>6} halted", "red")
    line.append(f"{unscored:>4} unscored", "bold red" if unscored else "dim")
    console.print(line)
    if halted:
        steps = sorted(int((o.record or {})["tripped_at"]) for o in halted)
        middle = steps[len(steps) // 2]
        console.print(
            f"  {'':<11}halted at token {steps[0]} to {steps[-1]}, half of them by token {middle}; "
            "the crossing token itself is never released",
            style="dim",
        )


def show_answers(console: Console, cases: Sequence[dict[str, Any]]) -> None:
    """Flagged answers with their tokens shaded by the deciding probe's score."""
    for case in cases:
        column = case["probes"].index(case["probe"])
        asked = _plain(case["messages"][-1]["content"])
        console.print(Text.assemble("\n", (f"case {case['id']}  ", "dim"), (asked, "bold")))
        shaded = Text("  ")
        for token in case["tokens"]:
            score = token["scores"][column]
            ink = "black" if score > case["threshold"] else "white"
            shaded.append(_plain(token["text"]), f"{ink} on {_shade(score, case['threshold'])}")
        shaded.append("  <- halted here", "red")
        console.print(shaded)
        stood = f"  {case['probe']}@{case['probe_version']} stood at {case['statistic']:.2f} "
        stood += f"after token {case['step']}, its threshold is {case['threshold']:.2f}"
        console.print(stood, style="dim", markup=False)


def show_queue(console: Console, cases: Sequence[dict[str, Any]], waiting: int) -> None:
    """The newest cases of the review queue."""
    table = Table(title=f"Review queue: {waiting} cases wait for a human", title_justify="left")
    for heading in ("case", "when", "probe", "statistic", "threshold", "token", "decision"):
        table.add_column(heading, justify="right" if heading in ("statistic", "token") else "left")
    for case in cases:
        table.add_row(
            str(case["id"]),
            str(case["created_at"])[11:19],
            f"{case['probe']}@{case['probe_version']}",
            f"{case['statistic']:.2f}",
            f"{case['threshold']:.2f}",
            str(case["step"]),
            str(case["decision"]),
        )
    console.print(table)


def show_metrics(console: Console, text: str) -> None:
    """The lines of /metrics that matter here."""
    console.print("\n[bold]From /metrics[/bold]")
    for line in text.splitlines():
        if line.startswith(METRICS) and not line.endswith(" 0.0"):
            console.print(Text(f"  {line}", "cyan"), soft_wrap=True)


def show_figures(console: Console, summary: dict[str, Any]) -> None:
    """Rates and areas with their 95% intervals, judged by the oracle."""
    table = Table(
        title="What the probe saw, judged by the world's oracle (95% intervals)",
        title_justify="left",
    )
    table.add_column("figure")
    for heading in ("value", "low", "high", "n"):
        table.add_column(heading, justify="right")
    for key, words in FIGURES.items():
        figure = summary[key]
        if figure is None:
            table.add_row(words, "too few answers", "", "", "")
            continue
        numbers = [f"{figure[part]:.3f}" for part in ("value", "low", "high")]
        table.add_row(words, *numbers, str(figure["n"]))
    console.print(table)
    console.print(
        f"  {summary['tokens_scored']:,} tokens scored, {summary['tokens_released']:,} released, "
        f"{summary['tokens_released_unscored']} released unscored; "
        f"first text after {summary['ttft_ms_median']:.0f} ms, then one every "
        f"{summary['itl_ms_median']:.1f} ms (medians)"
    )


def figures_markdown(summary: dict[str, Any]) -> str:
    """The same figures as a section for a probe's card."""
    lines = [
        "## Live figures",
        "",
        f"Measured by `probewatch demo` on answers that the model sampled itself, "
        f"{summary['requests']:,} in all, judged by the oracle of its world.",
        "",
        "| figure | value [95% interval] | n |",
        "|---|---|---|",
    ]
    for key, words in FIGURES.items():
        figure = summary[key]
        if figure is not None:
            value, low, high = (f"{figure[part]:.3f}" for part in ("value", "low", "high"))
            lines.append(f"| {words.strip()} | {value} [{low}, {high}] | {figure['n']} |")
    return "\n".join(lines) + "\n"


def _shade(score: float, threshold: float) -> str:
    """The threshold is where the last shade but one begins."""
    share = 0.5 + 0.3 * (score - threshold) / max(1.0, abs(threshold))
    return SHADES[max(0, min(len(SHADES) - 1, int(share * len(SHADES))))]


def _plain(text: str) -> str:
    """Text without what a terminal would take for a command."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
