"""Putting the real parts together, and refusing to where the watch would be a sham."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from probes_store.draft import Artifact
from probes_store.errors import ArtifactDamaged, ProbeNotFound
from probes_store.store import ProbeStore
from probing.errors import DuplicateProbe, GoldenMismatch, ReadingMismatch
from probing.golden import Golden
from probing.model import LoadedModel
from service.assembly import NothingDeployed, deployed, watched_engine
from service.domain import Role
from service.engines.protocol import GenerationRequest, QueueFull
from service.settings import Settings
from service.store.review import ReviewStore
from tests.service.publishing import publish

Tiny = Callable[[str], LoadedModel]
SETTINGS = Settings(model="tiny")


@pytest.fixture
def probes(tmp_path: Path) -> ProbeStore:
    return ProbeStore(tmp_path / "probes", shipped=None)


def served(tiny: Tiny, probes: ProbeStore, store: ReviewStore) -> dict[Role, Artifact]:
    store.deployments.promote(
        "champion", str(publish(probes.root, tiny("gpt2"))), by="test", reason=""
    )
    return deployed(probes, store)


def test_without_a_champion_nothing_is_served(probes: ProbeStore, store: ReviewStore) -> None:
    """Every answer would look watched and none would be."""
    with pytest.raises(NothingDeployed, match="probewatch probes promote"):
        deployed(probes, store)


def test_the_stores_alias_begins_an_empty_database_and_no_other(
    tiny: Tiny, probes: ProbeStore, store: ReviewStore
) -> None:
    first, second = (publish(probes.root, tiny("gpt2"), seed=seed) for seed in (1, 2))
    probes.set_alias("champion", first)

    begun = deployed(probes, store)["champion"].ref
    probes.set_alias("champion", second)
    later = deployed(probes, store)["champion"].ref

    assert (begun, later) == (first, first)
    assert store.deployments.deployed("champion") == str(first)


def test_what_the_database_names_and_the_store_lacks_is_refused(
    probes: ProbeStore, store: ReviewStore
) -> None:
    store.deployments.promote("champion", "petty@9", by="test", reason="")

    with pytest.raises(ProbeNotFound):
        deployed(probes, store)


def test_an_edited_artifact_is_refused(tiny: Tiny, probes: ProbeStore, store: ReviewStore) -> None:
    ref = publish(probes.root, tiny("gpt2"))
    store.deployments.promote("champion", str(ref), by="test", reason="")
    manifest = probes.root / ref.name / str(ref.version) / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace('"threshold": 1', '"threshold": 2'))

    with pytest.raises(ArtifactDamaged):
        deployed(probes, store)


def test_a_probe_for_another_model_is_refused(
    tiny: Tiny, probes: ProbeStore, store: ReviewStore
) -> None:
    artifacts = served(tiny, probes, store)

    with pytest.raises(ReadingMismatch):
        watched_engine(SETTINGS, tiny("llama"), artifacts)


def test_an_engine_that_does_not_reproduce_the_golden_scores_is_refused(
    tiny: Tiny, probes: ProbeStore, store: ReviewStore
) -> None:
    artifact = served(tiny, probes, store)["champion"]
    scores = tuple(s + np.float32(2e-4) for s in artifact.golden.scores)
    other = dataclasses.replace(artifact, golden=Golden(artifact.golden.token_ids, scores))

    with pytest.raises(GoldenMismatch):
        watched_engine(SETTINGS, tiny("gpt2"), {"champion": other})


def test_roles_come_from_the_database_and_not_from_the_artifact(
    tiny: Tiny, probes: ProbeStore, store: ReviewStore
) -> None:
    served(tiny, probes, store)
    shadow = publish(probes.root, tiny("gpt2"), seed=3)
    store.deployments.promote("challenger", str(shadow), by="test", reason="")

    card = watched_engine(SETTINGS, tiny("gpt2"), deployed(probes, store)).card

    assert (card.model_name, card.deciding) == ("tiny", (True, False))
    assert card.versions == ("1", "2")
    assert card.probes == ("petty", "petty@2"), "else the one would hide what the other says"
    assert card.refs == ("petty@1", "petty@2")


def test_one_version_in_both_roles_is_refused(
    tiny: Tiny, probes: ProbeStore, store: ReviewStore
) -> None:
    artifact = served(tiny, probes, store)["champion"]
    store.deployments.promote("challenger", str(artifact.ref), by="test", reason="")

    with pytest.raises(DuplicateProbe, match="a version of its own"):
        watched_engine(SETTINGS, tiny("gpt2"), deployed(probes, store))


def test_limits_come_from_the_settings(tiny: Tiny, probes: ProbeStore, store: ReviewStore) -> None:
    artifacts = served(tiny, probes, store)
    narrow = Settings(model="tiny", streams_max=1, queue_requests_max=1)

    async def fill() -> None:
        engine = watched_engine(narrow, tiny("gpt2"), artifacts)
        engine.start()
        try:
            for number in range(3):
                engine.submit(GenerationRequest(id=str(number), prompt_ids=(1,), tokens_max=200))
        finally:
            engine.close()

    with pytest.raises(QueueFull):
        asyncio.run(fill())
