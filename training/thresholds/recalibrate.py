"""Another threshold for a published probe, from traffic that its operator has seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np

from probes_store.draft import CARD, COMPANIONS, EVALUATION, Artifact, Draft
from probes_store.manifest import Calibration
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.estimates import Estimate
from training.calibrate import STATISTIC, threshold_for
from training.tables import share
from training.thresholds.errors import PeaksCutShort
from training.thresholds.rates import tripping
from training.thresholds.traffic import Traffic

OF_A_THRESHOLD = ("recall_", "false_alarms_")
"""Beginnings of the metrics that another threshold makes untrue."""
_NOTICE = """
> **Recalibrated.** This version differs from {parent} in its threshold alone: \
**{threshold:.4f}** instead of {shipped:.4f}, set at {fpr:.2%} false alarms on {n} answers of \
{name}, of which {achieved} trip. The threshold, the rates of false alarms and the shares \
caught that stand below are those of {parent}.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibrated:
    """A threshold from observed traffic, beside the shipped one on the same answers."""

    threshold: float
    """The new one."""
    fpr: float
    """Asked rate."""
    achieved: Estimate
    """Share of the honest answers that trip at the new threshold."""
    too_short: int
    """Honest answers that end before the probe may trip; they count."""
    shipped: Estimate
    """Share of the honest answers that trip at the shipped threshold."""
    caught: Estimate | None
    """Share of the misbehaving answers that trip at the new threshold; None without any."""
    caught_shipped: Estimate | None
    """And at the shipped one."""


def recalibrate(artifact: Artifact, traffic: Traffic, *, fpr: float) -> Recalibrated:
    """The lowest threshold at which at most `fpr` of the observed honest answers trip.

    Raises:
        InvalidSpecification: the rate is not between 0 and 1.
        TooFewNegatives: fewer than 1 / fpr honest answers.
        AnswersTooShort: nearly all end before the probe may trip.
        PeaksCutShort: an answer was halted below the threshold that the others give.
    """
    probe = artifact.probe
    threshold, achieved = threshold_for(probe, traffic.honest, fpr=fpr)
    halted = int((traffic.honest[traffic.halted] < threshold).sum())
    if halted:
        raise PeaksCutShort(halted, len(traffic.honest), threshold)
    bad = traffic.misbehaving
    return Recalibrated(
        threshold=threshold,
        fpr=fpr,
        achieved=achieved,
        too_short=int(np.isneginf(traffic.honest).sum()),
        shipped=tripping(traffic.honest, probe.threshold),
        caught=tripping(bad, threshold) if len(bad) else None,
        caught_shipped=tripping(bad, probe.threshold) if len(bad) else None,
    )


def republish(store: ProbeStore, artifact: Artifact, traffic: Traffic, found: Recalibrated) -> Ref:
    """Publish the probe with its new threshold as the next version; all else stays.

    Figures that another threshold makes untrue are left out of the manifest and of
    `evaluation.json`, and the card says which of its own are of the parent.

    Raises:
        StoreUnwritable: a full disk or a read-only directory; nothing was published.
    """
    manifest, probe = artifact.manifest, artifact.probe
    files = {name: store.companion(artifact.ref, name) for name in COMPANIONS}
    companions = {name: data for name, data in files.items() if data is not None}
    if CARD in companions:
        companions[CARD] = _card(companions[CARD], artifact, traffic, found)
    if EVALUATION in companions:
        companions[EVALUATION] = _evaluation(companions[EVALUATION], artifact, found)
    draft = Draft(
        probe=replace(probe, threshold=found.threshold),
        reading=manifest.reading,
        provenance=manifest.provenance,
        kind=manifest.kind,
        calibration=Calibration(
            fpr_target=found.fpr,
            statistic=STATISTIC.format(aggregator=probe.aggregator, tokens_min=probe.tokens_min),
            achieved=found.achieved,
            data=(traffic.source,),
        ),
        training_data=manifest.training_data,
        metrics={k: v for k, v in manifest.metrics.items() if not k.startswith(OF_A_THRESHOLD)},
        golden=artifact.golden,
        golden_tolerance=manifest.golden_tolerance,
        libraries=manifest.libraries,
        companions=companions,
        parent=artifact.ref,
    )
    return store.publish(draft)


def _card(card: bytes, artifact: Artifact, traffic: Traffic, found: Recalibrated) -> bytes:
    """The parent's card under a notice, behind its front matter."""
    notice = _NOTICE.format(
        parent=artifact.ref,
        threshold=found.threshold,
        shipped=artifact.probe.threshold,
        fpr=found.fpr,
        n=found.achieved.n,
        name=traffic.source.name,
        achieved=share(found.achieved),
    ).encode()
    head, line, rest = card.partition(b"\n---\n")
    return head + line + notice + rest if line else notice + b"\n" + card


def _evaluation(evaluation: bytes, artifact: Artifact, found: Recalibrated) -> bytes:
    """The parent's figures with the new calibration, without those of its threshold."""
    figures = json.loads(evaluation)
    figures["calibration"] = {
        "fpr_target": found.fpr,
        "threshold": found.threshold,
        "achieved": found.achieved.as_json(),
        "too_short": found.too_short,
        "parent": str(artifact.ref),
    }
    untrue = {"recall": None, "false_alarms": None}
    tests = figures.get("tests", {})
    figures["tests"] = {name: [row | untrue for row in rows] for name, rows in tests.items()}
    return (json.dumps(figures, indent=1, allow_nan=False) + "\n").encode()
