"""A published probe gets another threshold, and nothing else of it changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probes_store.draft import Artifact
from probes_store.manifest import DataSource
from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.errors import InvalidSpecification, TooFewNegatives
from probing.estimates import rate
from tests.probes_store.examples import draft
from training.errors import AnswersTooShort
from training.thresholds.errors import PeaksCutShort
from training.thresholds.recalibrate import recalibrate, republish
from training.thresholds.traffic import Traffic

EVALUATION = {
    "chosen": {"C": 0.1},
    "calibration": {"threshold": 1.25},
    "tests": {"unseen": [{"part": "all", "auroc": 1, "recall": 2, "false_alarms": 3}]},
}


@pytest.fixture
def store(tmp_path: Path) -> ProbeStore:
    """With `petty@1`, whose threshold is 1.25."""
    first = draft()
    files = {**first.companions, "evaluation.json": json.dumps(EVALUATION).encode()}
    metrics = {name: rate(9, 10) for name in ("auroc", "recall_unseen", "false_alarms_unseen")}
    found = ProbeStore(tmp_path, shipped=None)
    found.publish(replace(first, companions=files, metrics=metrics))
    return found


@pytest.fixture
def artifact(store: ProbeStore) -> Artifact:
    return store.load(Ref("petty", 1))


def traffic(
    honest: Sequence[float], *, misbehaving: Sequence[float] = (), halted: Sequence[int] = ()
) -> Traffic:
    return Traffic(
        source=DataSource(name="day", sha256="1" * 64, examples=len(honest)),
        honest=np.array(honest),
        halted=np.isin(np.arange(len(honest)), halted),
        misbehaving=np.array(misbehaving),
        assumed=len(honest),
        unscored=0,
    )


STEPS = np.arange(200) / 100
"""From 0 to 1.99: 75 of 200 reach the shipped threshold."""


def test_both_thresholds_are_judged_on_the_same_answers(artifact: Artifact) -> None:
    found = recalibrate(artifact, traffic(STEPS, misbehaving=[1.5, 5.0]), fpr=0.05)

    assert found.threshold == pytest.approx(1.89, abs=1e-6)
    assert (found.achieved.value, found.achieved.n) == (0.05, 200)
    assert found.shipped.value == 75 / 200
    assert found.caught is not None
    assert found.caught_shipped is not None
    assert (found.caught.value, found.caught_shipped.value) == (0.5, 1.0)


def test_answers_too_short_to_trip_count_and_are_told(artifact: Artifact) -> None:
    found = recalibrate(artifact, traffic([*STEPS, *[-np.inf] * 200]), fpr=0.05)

    assert found.too_short == 200
    assert found.achieved.value == 20 / 400
    assert found.caught is None


def test_an_answer_that_was_halted_below_the_new_threshold_is_refused(artifact: Artifact) -> None:
    """Its peak is where it was stopped, so a threshold above that would rest on nothing."""
    shipped = int(np.flatnonzero(STEPS >= 1.25)[0])

    with pytest.raises(
        PeaksCutShort, match=r"1 of 200 answers were halted below the threshold of 1.89"
    ):
        recalibrate(artifact, traffic(STEPS, halted=[shipped, 199]), fpr=0.05)


def test_an_answer_that_was_halted_above_it_decides_nothing(artifact: Artifact) -> None:
    whole = recalibrate(artifact, traffic(STEPS), fpr=0.05)

    assert recalibrate(artifact, traffic(STEPS, halted=[198, 199]), fpr=0.05) == whole


def test_traffic_that_supports_no_threshold_is_refused(artifact: Artifact) -> None:
    with pytest.raises(TooFewNegatives, match="at least 1000"):
        recalibrate(artifact, traffic(STEPS), fpr=0.001)
    with pytest.raises(AnswersTooShort, match="only 0 of 200"):
        recalibrate(artifact, traffic([-np.inf] * 200), fpr=0.05)
    with pytest.raises(InvalidSpecification, match="between 0 and 1"):
        recalibrate(artifact, traffic(STEPS), fpr=1.5)


def test_the_new_version_differs_in_what_hangs_on_the_threshold_alone(
    store: ProbeStore, artifact: Artifact
) -> None:
    observed = traffic(STEPS)
    found = recalibrate(artifact, observed, fpr=0.05)

    ref = republish(store, artifact, observed, found)

    new, old = store.load(ref), artifact
    assert ref == Ref("petty", 2)
    assert new.probe.threshold == found.threshold
    kept = replace(new.probe, threshold=old.probe.threshold, version="1")
    assert kept.digest == old.probe.digest
    assert new.golden.token_ids == old.golden.token_ids
    changed = {"version", "created_at", "threshold", "calibration", "metrics", "parent", "files"}
    for name in set(type(new.manifest).__dataclass_fields__) - changed:
        assert getattr(new.manifest, name) == getattr(old.manifest, name), name
    assert new.manifest.parent == "petty@1"
    assert new.manifest.calibration.data == (observed.source,)
    assert new.manifest.calibration.achieved == found.achieved
    assert new.manifest.calibration.fpr_target == 0.05
    joblib = "probe.joblib"
    assert new.manifest.files[joblib] == old.manifest.files[joblib]


def test_figures_of_the_old_threshold_are_not_told_of_the_new_one(
    store: ProbeStore, artifact: Artifact
) -> None:
    """A recall that was measured at another threshold is not that of this version."""
    observed = traffic(STEPS)
    ref = republish(store, artifact, observed, recalibrate(artifact, observed, fpr=0.05))

    evaluation = json.loads(store.companion(ref, "evaluation.json") or b"")
    card = (store.companion(ref, "card.md") or b"").decode()
    assert set(store.manifest(ref).metrics) == {"auroc"}
    assert evaluation["chosen"] == EVALUATION["chosen"]
    assert evaluation["calibration"]["parent"] == "petty@1"
    assert evaluation["calibration"]["achieved"]["n"] == 200
    row = {"part": "all", "auroc": 1, "recall": None, "false_alarms": None}
    assert evaluation["tests"] == {"unseen": [row]}
    assert card.startswith("---\nlicense: x\n---\n\n> **Recalibrated.** ")
    assert "**1.8900** instead of 1.2500" in card
    assert card.endswith("# Petty\n")


def test_a_card_without_front_matter_begins_with_the_notice(store: ProbeStore) -> None:
    """A reader would take the parent's threshold for this version's."""
    plain = store.load(store.publish(replace(draft(), companions={"card.md": b"# Petty\n"})))
    observed = traffic(STEPS)

    ref = republish(store, plain, observed, recalibrate(plain, observed, fpr=0.05))

    card = (store.companion(ref, "card.md") or b"").decode()
    assert card.startswith("\n> **Recalibrated.** ")
    assert card.endswith("\n\n# Petty\n")


def test_a_probe_without_companions_stays_without(store: ProbeStore) -> None:
    bare = store.load(store.publish(replace(draft(), companions={})))
    observed = traffic(STEPS)

    ref = republish(store, bare, observed, recalibrate(bare, observed, fpr=0.05))

    assert set(store.manifest(ref).files) == {"probe.safetensors", "golden.safetensors"}
