"""A published probe's card: what it is, what was measured, what is not shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probing.estimates import Estimate
from probing.model import LoadedModel
from probing.probe import Probe
from training.calibrate import Calibrated
from training.datasets.bundled import TrainingSets
from training.evaluate import Row
from training.sweep import Sites, Trial
from training.tables import area, describe, share, short_heads, site_names, too_short

_HEAD = """---
license: apache-2.0
library_name: probewatch
tags: [probe, oversight, interpretability]
base_model: {model}
---

# Probe {name}

A probe ({family}) on the internal readings of **{model}** that watches for misbehaviour while the \
model answers. It was trained on harmless misbehaviour only.

| | |
|---|---|
| reads | {sites} |
| model's fingerprint | `{fingerprint}`; it refuses any other |
| fitted on | {fit} |
| chosen | {chosen} |
| aggregator | `{aggregator}`, from response token {tokens_min} on |
| threshold | {threshold:.4f} |
| false alarms | asked {target:.2%}, got {achieved} of {n} held-out honest answers, {short} |

The threshold was set on the statistic that trips live: the highest value that the running \
aggregate reaches in an answer, from the token on at which the probe may trip. An answer that \
ends before cannot trip; it counts as an answer and ranks lowest. Intervals are 95%, exact for \
rates, Newcombe's method 5 for AUROC.
"""
_LIMITS = """
## What this does not show

- Figures hold for texts like those of its test sets. A different model, language, prompt style \
or kind of misbehaviour needs its own measurement.
- The interval of the false-alarm rate is about chance in this sample, not about a deployment \
whose honest answers differ from it.
- A probe reads what the model represents. A model that misbehaves without representing it, or \
that is trained against the probe, is not caught.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that was measured of one probe."""

    trials: Sequence[Trial]
    """All candidates."""
    chosen: Trial
    """The one that was fitted on everything."""
    calibrated: Calibrated
    """Its threshold."""
    tests: Mapping[str, Sequence[Row]]
    """Figures by test set."""
    families: Mapping[Sites, Mapping[str, Estimate]]
    """AUROC by site and family, each site with its best C and aggregator."""
    seconds: Mapping[str, float]
    """Wall-clock time by step."""

    def as_json(self) -> bytes:
        """`evaluation.json`."""
        calibrated = self.calibrated
        data = {
            "chosen": self.chosen.as_json(),
            "calibration": {
                "fpr_target": calibrated.fpr_target,
                "threshold": calibrated.probe.threshold,
                "achieved": calibrated.achieved.as_json(),
                "too_short": calibrated.too_short,
            },
            "tests": {name: [row.as_json() for row in rows] for name, rows in self.tests.items()},
            "families": {
                site_names(sites): {family: figure.as_json() for family, figure in row.items()}
                for sites, row in self.families.items()
            },
            "trials": [trial.as_json() for trial in self.trials],
            "seconds": dict(self.seconds),
        }
        return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()

    def metrics(self) -> dict[str, Estimate]:
        """The figures that stand in the manifest."""
        found = {"auroc_cross_validated": self.chosen.auroc}
        for name, rows in self.tests.items():
            whole, key = rows[0], name.replace(" ", "_")
            named = {
                "auroc": whole.auroc,
                "auroc_words": whole.words,
                "recall": whole.recall,
                "false_alarms": whole.false_alarms,
            }
            found |= {f"{what}_{key}": e for what, e in named.items() if e is not None}
        return found


def write_card(
    probe: Probe, loaded: LoadedModel, sets: TrainingSets, results: Results, notes: str = ""
) -> bytes:
    """The card in Markdown.

    Args:
        notes: Markdown of the caller's own, put before what is not shown.
    """
    calibrated = results.calibrated
    head = _HEAD.format(
        model=loaded.provenance.name,
        name=probe.name,
        family=results.chosen.family.name.replace("_", " "),
        sites=", ".join(f"`{site}`" for site in probe.sites),
        fingerprint=probe.fingerprint,
        fit=f"{len(sets.fit)} examples of {sets.fit.name} ({', '.join(sets.fit.families)})",
        chosen=f"of {len(results.trials)} candidates by grouped cross-validation, the best of "
        "those that may trip soonest within the interval of the highest AUROC: "
        + describe(results.chosen),
        aggregator=probe.aggregator,
        tokens_min=probe.tokens_min,
        threshold=probe.threshold,
        target=calibrated.fpr_target,
        achieved=share(calibrated.achieved),
        n=calibrated.achieved.n,
        short=too_short(calibrated),
    )
    tests = "".join(_test_section(name, rows) for name, rows in results.tests.items())
    families = _family_section(results.families) if results.families else ""
    return (head + tests + families + (f"\n{notes.strip()}\n" if notes else "") + _LIMITS).encode()


def _test_section(name: str, rows: Sequence[Row]) -> str:
    heads = "| part | AUROC, live | AUROC, words | caught | false alarms |\n|---|---|---|---|---|"
    lines = [
        f"| {row.part} | {area(row.auroc)} | {area(row.words)} | {share(row.recall)} "
        f"| {share(row.false_alarms)} |"
        for row in rows
    ]
    return "\n".join([f"\n## Measured on {name}\n", heads, *lines, ""])


def _family_section(table: Mapping[Sites, Mapping[str, Estimate]]) -> str:
    families = list(dict.fromkeys(family for row in table.values() for family in row))
    heads, hook = short_heads(list(table))
    head = f"| family | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}"
    lines = []
    for family in families:
        cells = [row.get(family) for row in table.values()]
        lines.append(f"| {family} | {' | '.join(f'{c.value:.3f}' if c else '' for c in cells)} |")
    title = f"\n## Live AUROC by family and site{hook}\n"
    return "\n".join([title, head, *lines, ""])
