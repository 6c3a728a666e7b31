"""`collect` with several processes: killed half way, it goes on where it stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import training.collect as module
from probing.model import LoadedModel, load_model
from probing.reader import Reader
from probing.spec import Site
from tests.training.examples import dataset
from training.collect import collect
from training.scale.crew import Processes
from training.scale.errors import ModelChanged, ModelInMemory, WorkerDied
from training.scale.model_source import ModelSource
from training.scale.reading import Reading
from training.shards import ShardOrder

SITES = [Site(0, "hook_resid_post"), Site(2, "hook_resid_post")]
DATA = dataset(12)
QUIET = Console(file=StringIO())
FATAL = "shard-00003.npy"


@pytest.fixture(scope="module")
def loaded(
    tiny: Callable[[str], LoadedModel], tmp_path_factory: pytest.TempPathFactory
) -> LoadedModel:
    """A tiny model that others can load."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny("gpt2").model.save_pretrained(folder)
    tiny("gpt2").tokenizer.save_pretrained(folder)
    return load_model(folder)


@dataclass(frozen=True)
class Killed:
    """Reads shards, and dies in the middle of one."""

    reading: Reading

    def open(self) -> Callable[[ShardOrder], int]:
        loaded = self.reading.source.load()

        def read(order: ShardOrder) -> int:
            done = 0
            with Reader(loaded, order.sites) as reader:
                for tokens in order.write(reader):
                    done += tokens
                    if order.path.name == FATAL:
                        os.kill(os.getpid(), signal.SIGKILL)
            return done

        return read


class Doomed:
    """Two processes, one of which is killed."""

    def work(self, task: Any, items: Sequence[Any]) -> Iterator[Any]:
        return Processes(2).work(Killed(task), items)


@dataclass
class Noting:
    """Two processes, and a note of what they were asked for."""

    asked: list[str]

    def work(self, task: Any, items: Sequence[Any]) -> Iterator[Any]:
        self.asked += [item.path.name for item in items]
        return Processes(2).work(task, items)


def test_after_a_worker_is_killed_nothing_is_read_twice_and_all_bytes_are_the_same(
    loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of reading must survive a machine that runs out of memory."""
    monkeypatch.setattr(module, "SHARD_EXAMPLES", 3)
    killed, fresh = tmp_path / "killed", tmp_path / "fresh"
    resuming, uninterrupted = Noting([]), Noting([])

    with pytest.raises(WorkerDied):
        collect(loaded, DATA, SITES, cache=killed, console=QUIET, crew=Doomed())
    before, begun = stamps(killed), [path.name for path in killed.rglob(".shard-*")]
    collect(loaded, DATA, SITES, cache=killed, console=QUIET, crew=resuming)
    collect(loaded, DATA, SITES, cache=fresh, console=QUIET, crew=uninterrupted)

    assert before
    assert FATAL not in before
    assert any(FATAL in name for name in begun), "it was killed in the middle of a shard"
    assert set(resuming.asked) == set(uninterrupted.asked) - set(before)
    after = stamps(killed)
    assert {name: after[name] for name in before} == before, "nothing was read twice"
    assert list(killed.rglob(".shard-*")) == []
    expected = {path.name: path.read_bytes() for path in fresh.rglob("shard-*.npy")}
    assert {path.name: path.read_bytes() for path in killed.rglob("shard-*.npy")} == expected
    assert len(expected) == 8


def stamps(cache: Path) -> dict[str, tuple[int, int]]:
    """Which file each shard is, and when it was written."""
    found = {path.name: path.stat() for path in cache.rglob("shard-*.npy")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def test_a_model_in_memory_cannot_be_shared_out(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    with pytest.raises(ModelInMemory, match="save it and name its directory"):
        collect(
            tiny("gpt2"), DATA, SITES, cache=tmp_path, console=QUIET, crew=Processes(2)
        )  # fmt: skip


def test_a_worker_refuses_a_model_that_is_not_the_one_the_work_was_planned_with(
    loaded: LoadedModel,
) -> None:
    """Readings of another model under this one's name would be plausible noise."""
    source = replace(ModelSource.of(loaded), fingerprint="0" * 12)

    with pytest.raises(ModelChanged, match=f"as {loaded.spec.fingerprint}, and the work was"):
        source.load()
