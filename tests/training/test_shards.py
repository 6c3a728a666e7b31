"""A shard is on the disk, whole, or it is not there; memory never holds one."""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from probing.model import LoadedModel
from probing.prompt import render_exchange
from probing.reader import Inputs, Reader
from probing.spec import Site
from tests.training.examples import dataset
from training.shards import ShardOrder, open_shard, remove_leftovers

SITES = (Site(0, "hook_attn_out"), Site(2, "hook_resid_post"))


@pytest.fixture
def order(tiny: Callable[[str], LoadedModel], tmp_path: Path) -> ShardOrder:
    data = dataset(3)
    rendered = [render_exchange(tiny("gpt2").tokenizer, e.messages) for e in data]
    return ShardOrder(
        path=tmp_path / "shard-00000.npy",
        sites=SITES,
        rendered=tuple(rendered),
        starts=tuple(r.response_start for r in rendered),
        wheres=tuple(e.where for e in data),
        d_model=64,
        dtype="float32",
    )


def test_a_shard_is_what_numpy_would_have_saved(
    tiny: Callable[[str], LoadedModel], order: ShardOrder, tmp_path: Path
) -> None:
    """Written piece by piece, each into its own place, and of unequal length."""
    loaded, expected = tiny("gpt2"), []

    with Reader(loaded, SITES) as reader:
        told = list(order.write(reader))
        for rendered in order.rendered:
            ids = torch.tensor([rendered.token_ids])
            found = reader.forward(Inputs(input_ids=ids)).readings
            expected.append(torch.stack([found[s][0, rendered.response_start :] for s in SITES]))
    whole = torch.cat(expected, dim=1).numpy()
    np.save(tmp_path / "other.npy", whole)

    np.testing.assert_allclose(open_shard(order.path), whole, atol=1e-5)
    assert order.path.stat().st_size == (tmp_path / "other.npy").stat().st_size == order.bytes
    assert sum(told) == order.tokens
    assert order.is_there()


def test_what_was_read_is_on_the_disk_before_the_next_is_read(
    tiny: Callable[[str], LoadedModel], order: ShardOrder
) -> None:
    """A shard of all layers of a real model is larger than what else a process holds."""
    with Reader(tiny("gpt2"), SITES) as reader:
        writing = order.write(reader)
        sizes = []
        for _ in writing:
            (incoming,) = order.path.parent.glob(".shard-*")
            sizes.append(incoming.stat().st_blocks)
            if len(sizes) == 3:
                break
        writing.close()

    assert sizes[0] < sizes[2]
    assert list(order.path.parent.iterdir()) == [], "nothing is left of a shard that is not whole"


def test_leftovers_of_a_killed_process_are_removed_and_no_others(tmp_path: Path) -> None:
    """A leftover is as large as a shard; what somebody is writing must not vanish under him."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    here = platform.node()
    names = {
        "killed": f".shard-00000.npy.{here}.{gone.pid}",
        "running": f".shard-00001.npy.{here}.{os.getpid()}",
        "elsewhere": f".shard-00002.npy.not-{here}.{gone.pid}",
        "finished": "shard-00003.npy",
    }
    for name in names.values():
        (tmp_path / name).write_bytes(b"")

    remove_leftovers(tmp_path)

    left = {path.name for path in tmp_path.iterdir()}
    assert left == set(names.values()) - {names["killed"]}


@pytest.mark.parametrize("kept", [0, 60, 200])
def test_what_is_left_of_a_shard_is_no_shard(
    tiny: Callable[[str], LoadedModel], order: ShardOrder, kept: int
) -> None:
    """Of a full disk or a broken copy: nothing, half a header, half the readings."""
    with Reader(tiny("gpt2"), SITES) as reader:
        list(order.write(reader))
    whole = order.path.read_bytes()

    order.path.write_bytes(whole[:kept])

    assert not order.is_there()


def test_a_file_in_a_shard_s_place_runs_no_code(order: ShardOrder) -> None:
    """Caches are shared; numpy takes what is no array for a pickle, and a pickle is a program."""
    ran = order.path.with_name("ran")
    order.path.write_bytes(pickle.dumps(Touching(str(ran))))

    assert not order.is_there()
    assert not ran.exists()


class Touching:
    """Makes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (self.path,)


def test_what_another_user_is_writing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His process may not be asked, and so it runs."""

    def forbidden(process: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    begun = tmp_path / f".shard-00000.npy.{platform.node()}.1"
    begun.write_bytes(b"")

    remove_leftovers(tmp_path)

    assert begun.exists()
