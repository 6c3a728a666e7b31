"""Two nodes of a Ray cluster do what one process does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.model import BUNDLED, LoadedModel, load_model
from probing.spec import Site
from tests.training.scale.archives import BAD, read, transcripts, written
from tests.training.scale.test_crew import Doubling
from training.collect import collect
from training.datasets.load import load
from training.errors import NonFiniteReading
from training.scale.errors import RayMissing, WorkerDied
from training.scale.model_source import ModelSource
from training.scale.over_ray import OverRay
from training.scale.rescore import rescore
from training.scale.scoring import Scorer, Scoring

QUIET = Console(file=StringIO())
CREW = OverRay(2)
NODE_BYTES = 100 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two nodes, each with room for one actor."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": NODE_BYTES}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="warning")
    yield
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """The bundled model, from where others can load it."""
    return load_model(BUNDLED)


def test_scores_are_those_of_one_process(
    cluster: None, loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the archive's order, though two actors on two nodes take turns."""
    monkeypatch.setattr("training.scale.archive.CHUNK_LINES", 5)
    store, ref = tmp_path / "probes", Ref("magpie-petty", 1)
    records = transcripts(tmp_path / "sets")
    archive = written(tmp_path / "a.jsonl", [*records[:7], BAD["no id"][0], *records[7:]])
    scorer = Scorer(loaded, ProbeStore(store).load(ref))
    crew = partial(CREW.work, Scoring(source=ModelSource.of(loaded), store=store, ref=ref))

    for name, work in (("one", partial(map, scorer)), ("spread", crew)):
        rescore(
            archive, tmp_path / name, scorer=scorer, work=work, resume=False, skip_bad=True,
            console=QUIET,
        )  # fmt: skip

    for one, spread in zip(read(tmp_path / "one"), read(tmp_path / "spread"), strict=True):
        assert spread["peak"] == pytest.approx(one["peak"], abs=1e-4)
        assert {**spread, "peak": 0} == {**one, "peak": 0}


def test_readings_are_those_of_one_process(
    cluster: None, loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.collect.SHARD_EXAMPLES", 5)
    transcripts(tmp_path / "sets")
    data, site = load(tmp_path / "sets" / "magpie_benign.jsonl"), Site(3, "hook_resid_post")

    one, spread = (
        collect(loaded, data, [site], cache=tmp_path / name, console=QUIET, crew=crew)
        for name, crew in (("one", None), ("spread", CREW))
    )

    for (examples, expected), (same, found) in zip(
        one.blocks(site), spread.blocks(site), strict=True
    ):
        assert examples == same
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_an_actor_refuses_with_is_told_as_one_process_would_tell_it(cluster: None) -> None:
    with pytest.raises(NonFiniteReading, match="line 3: the reading at blocks"):
        list(CREW.work(Doubling(refused=3), range(5)))


def test_an_item_that_ends_its_actor_each_time_ends_the_work(cluster: None) -> None:
    """Ray would try it again for ever."""
    with pytest.raises(WorkerDied):
        list(CREW.work(Doubling(deadly=2), range(5)))


def test_nothing_to_do_starts_nothing() -> None:
    """A finished run that is resumed has no items, and Ray cannot make a data set of none."""
    assert list(CREW.work(Doubling(), [])) == []


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(RayMissing, match=r"pip install 'probewatch\[scale\]'"):
        list(CREW.work(Doubling(), range(5)))
