"""What a training run shows at its end: figures in tables, areas as colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from probing.estimates import Estimate
from training.calibrate import Calibrated
from training.datasets.schema import Dataset
from training.evaluate import Row
from training.sweep import Sites, Trial, soonest

_SHADES = (
    (0.99, "black on green"),
    (0.95, "black on dark_sea_green4"),
    (0.85, "black on yellow"),
    (0.7, "black on dark_orange"),
    (0.0, "white on dark_red"),
)
"""Least AUROC and its colours."""


def site_names(sites: Sites) -> str:
    """Sites as they stand in a table: `3.resid_post`, joined where one probe reads several."""
    return " + ".join(f"{site.layer}.{site.hook.removeprefix('hook_')}" for site in sites)


def heat_table(
    trials: Sequence[Trial], chosen: Trial | None = None, *, by_family: bool = False
) -> Table:
    """Sites down, aggregators across; in each cell the live AUROC with the best rest.

    The best is `sweep.soonest`; C and the token from which a probe may trip are those of
    the row's. Where there are several probe families each has rows of its own.
    """
    aggregators = list(dict.fromkeys(_column(trial) for trial in trials))
    families = list(dict.fromkeys(trial.family for trial in trials))
    held_out = "families" if by_family else "situations"
    title = f"live AUROC, whole {held_out} held out"
    several = ["probe family"] if len(families) > 1 else []
    table = Table(*several, "site", "C", "from", *aggregators, title=title)
    for family, sites in dict.fromkeys((trial.family, trial.sites) for trial in trials):
        own = [trial for trial in trials if (trial.family, trial.sites) == (family, sites)]
        top = _shown(own, chosen)
        settings = (f"{top.inverse_strength:g}" if family.tuned else "", str(top.tokens_min))
        cells = [_cell([t for t in own if _column(t) == name], chosen) for name in aggregators]
        heads = [family.name, site_names(sites)][-1 - len(several) :]
        table.add_row(*heads, *settings, *cells)
    lost = sum(not trial.converged for trial in trials)
    if lost:
        table.caption = f"{lost} of {len(trials)} fits did not converge, marked ~"
    return table


def _column(trial: Trial) -> str:
    """The statistics that only one probe family has share a column."""
    own = trial.aggregator.channels > 1 and trial.aggregator.kind != "tail_concat"
    return "its own" if own else str(trial.aggregator)


def describe(trial: Trial) -> str:
    """A candidate in one line."""
    strength = f"C={trial.inverse_strength:g}, " if trial.family.tuned else ""
    return (
        f"{trial.family.name.replace('_', ' ')} at {site_names(trial.sites)}, "
        f"{strength}{trial.aggregator} from token {trial.tokens_min} on, AUROC {trial.auroc}"
    )


def results_table(name: str, rows: Sequence[Row]) -> Table:
    """Figures of one test set, with 95% intervals; its families are in a table of their own."""
    heads = ("AUROC, live", "AUROC, words", "caught", "false alarms")
    table = Table("part", *heads, title=name)
    for row in rows:
        if not row.part.startswith("family: "):
            figures = (area(row.auroc), area(row.words), share(row.recall), share(row.false_alarms))
            table.add_row(row.part, *figures)
    return table


def family_heat(table: Mapping[Sites, Mapping[str, Estimate]]) -> Table:
    """Families down, sites across: the live AUROC of each site's best candidate."""
    families = list(dict.fromkeys(family for row in table.values() for family in row))
    heads, hook = short_heads(list(table))
    shown = Table("family", *heads, title=f"live AUROC by family and site{hook}")
    for family in families:
        cells = [row.get(family) for row in table.values()]
        shown.add_row(family, *(_shaded(cell.value) if cell else Text("") for cell in cells))
    return shown


def short_heads(columns: Sequence[Sites]) -> tuple[list[str], str]:
    """Names of columns, as layers alone where all sites have the same hook, and that hook."""
    hooks = {site.hook for sites in columns for site in sites}
    if len(hooks) != 1:
        return [site_names(sites) for sites in columns], ""
    heads = ["+".join(str(site.layer) for site in sites) for sites in columns]
    return heads, f" (block of {hooks.pop()})"


def sets_table(sets: Sequence[Dataset], title: str = "data sets") -> Table:
    """One line for each set: how much of what, and which bytes."""
    heads = ("examples", "honest", "misbehaving", "situations", "families", "sha256")
    table = Table("set", *heads, title=title)
    for dataset in sets:
        misbehaving = int(dataset.labels.sum())
        table.add_row(
            dataset.name,
            str(len(dataset)),
            str(len(dataset) - misbehaving),
            str(misbehaving),
            str(len(set(dataset.situations))),
            str(len(dataset.families)),
            dataset.sha256[:12],
        )
    return table


def examples_table(dataset: Dataset) -> Table:
    """The first honest and the first misbehaving example of each family."""
    table = Table("family", "label", "request", "answer", title=dataset.name, show_lines=True)
    shown: set[tuple[str, str]] = set()
    for example in dataset:
        if (example.family, example.label) not in shown:
            shown.add((example.family, example.label))
            request = "\n".join(message["content"] for message in example.messages[:-1])
            table.add_row(example.family, example.label, Text(request), Text(example.answer))
    return table


def calibration_line(calibrated: Calibrated) -> str:
    """The threshold in one sentence, with the answers that could not have tripped."""
    return (
        f"threshold {calibrated.probe.threshold:.3f}: asked for {calibrated.fpr_target:.2%} false "
        f"alarms, got {share(calibrated.achieved)} of {calibrated.achieved.n} honest answers, "
        f"{too_short(calibrated)}"
    )


def too_short(calibrated: Calibrated) -> str:
    """How many of the honest answers could not have tripped, and why."""
    least = calibrated.probe.tokens_min
    return f"{calibrated.too_short} of them too short to trip (under {least} tokens)"


def area(figure: Estimate | None) -> str:
    """An area with its interval."""
    return "" if figure is None else f"{figure.value:.3f} [{figure.low:.2f}, {figure.high:.2f}]"


def share(figure: Estimate | None) -> str:
    """A rate with its interval, in per cent."""
    if figure is None:
        return ""
    return f"{figure.value:.1%} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _shown(trials: Sequence[Trial], chosen: Trial | None) -> Trial:
    """The one that was chosen, where it is among them."""
    return next((trial for trial in trials if trial is chosen), None) or soonest(trials)


def _cell(trials: Sequence[Trial], chosen: Trial | None) -> Text:
    if not trials:
        return Text("")
    trial = _shown(trials, chosen)
    cell = _shaded(trial.auroc.value)
    cell.append("" if trial.converged else " ~")
    cell.append(" *" if trial is chosen else "", style="bold")
    return cell


def _shaded(value: float) -> Text:
    style = next(style for least, style in _SHADES if value >= least)
    return Text.assemble((f" {value:.3f} ", style))
