"""Readings on disk are the reader's own, whatever happens on the way."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import training.collect as module
import training.shards as shards
from probing.errors import UnknownSite
from probing.model import LoadedModel, load_model
from probing.prompt import render_exchange
from probing.reader import Inputs, Reader
from probing.spec import Site
from tests.models import gpt2
from tests.training.examples import dataset
from training.collect import Collected, collect
from training.datasets.schema import Dataset
from training.errors import CacheTooLarge, NonFiniteReading, NothingToRead, TextTooLong
from training.shards import ShardOrder

SITES = [Site(2, "hook_resid_post"), Site(0, "hook_attn_out")]
DATA = dataset(5)
QUIET = Console(file=StringIO())


def read(loaded: LoadedModel, cache: Path, data: Dataset = DATA, whole: bool = False) -> Collected:
    return collect(loaded, data, SITES, cache=cache, console=QUIET, whole=whole)


def at(collected: Collected, site: Site) -> np.ndarray:
    return np.concatenate([block for _, block in collected.blocks(site)])


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_EXAMPLES", 3)


@pytest.fixture
def no_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model was asked again")

    monkeypatch.setattr(Reader, "read", refuse)


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_kept_is_what_the_reader_reads(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, small_shards: None, whole: bool
) -> None:
    """Training and service must read the same numbers: each text alone gives the oracle."""
    loaded = tiny("gpt2")

    found = read(loaded, tmp_path, whole=whole)

    for site in SITES:
        expected = []
        with Reader(loaded, [site]) as reader:
            for example in DATA:
                rendered = render_exchange(loaded.tokenizer, example.messages)
                ids = torch.tensor([rendered.token_ids])
                alone = reader.forward(Inputs(input_ids=ids)).readings[site][0]
                expected.append(alone[0 if whole else rendered.response_start :])
        np.testing.assert_allclose(at(found, site), torch.cat(expected).numpy(), atol=1e-5)


def test_a_second_run_takes_everything_from_the_cache(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    first = read(tiny("gpt2"), tmp_path)
    request.getfixturevalue("no_forward")

    again = read(tiny("gpt2"), tmp_path)

    np.testing.assert_array_equal(at(again, SITES[0]), at(first, SITES[0]))


def test_what_is_read_and_its_size_are_told_before(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, small_shards: None
) -> None:
    """Readings of a large model fill a disk; nothing is told where nothing is read."""
    told = Console(file=StringIO(), width=200)

    collect(tiny("gpt2"), DATA, SITES, cache=tmp_path, console=told)
    said = told.file.getvalue()  # type: ignore[attr-defined]
    collect(tiny("gpt2"), DATA, SITES, cache=tmp_path, console=told)

    size = sum(path.stat().st_size for path in tmp_path.rglob("*.npy")) / 1e6
    assert f"reading 10 answers at 2 sites, {size:,.1f} MB in {tmp_path}\n" in said
    assert size > 0.1
    assert told.file.getvalue() == said  # type: ignore[attr-defined]


def test_readings_stay_on_the_disk_until_they_are_used(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    """All layers of a real model's readings do not fit into memory."""
    found = read(tiny("gpt2"), tmp_path)

    assert all(isinstance(shard, np.memmap) for shard in found.shards)


def test_after_a_kill_only_the_rest_is_read(
    tiny: Callable[[str], LoadedModel],
    tmp_path: Path,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    write = ShardOrder.write

    def killed(order: ShardOrder, reader: Reader) -> Iterator[int]:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(order.path.name)
        yield from write(order, reader)

    monkeypatch.setattr(ShardOrder, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        read(tiny("gpt2"), tmp_path)
    written.append("killed")

    found = read(tiny("gpt2"), tmp_path)

    names = [f"shard-{n:05d}.npy" for n in range(4)]
    assert written == [*names[:2], "killed", *names[2:]], "each shard once"
    fresh = read(tiny("gpt2"), tmp_path / "fresh")
    np.testing.assert_array_equal(at(found, SITES[1]), at(fresh, SITES[1]))


def _truncate(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-64])


def _reshape(shard: Path) -> None:
    np.save(shard, np.load(shard)[:, 1:])


def _retype(shard: Path) -> None:
    np.save(shard, np.load(shard).astype(np.float16))


@pytest.mark.parametrize("damage", [_truncate, _reshape, _retype])
def test_a_shard_that_does_not_fit_is_read_again(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    expected = at(read(tiny("gpt2"), tmp_path), SITES[0])
    damage(next(tmp_path.rglob("*.npy")))

    np.testing.assert_array_equal(at(read(tiny("gpt2"), tmp_path), SITES[0]), expected)


@pytest.mark.parametrize("change", ["model", "data", "sites", "span"])
def test_another_model_data_or_site_has_its_own_cache(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, change: str
) -> None:
    """Readings of another model under this one's name would be plausible noise."""
    read(tiny("gpt2"), tmp_path)
    loaded = tiny("llama" if change == "model" else "gpt2")
    data = dataset(4) if change == "data" else DATA
    data = replace(data, sha256="other") if change == "data" else data
    sites = SITES[:1] if change == "sites" else SITES

    collect(loaded, data, sites, cache=tmp_path, console=QUIET, whole=change == "span")

    assert len(list(tmp_path.iterdir())) == 2


def test_the_size_is_known_before_anything_is_read(
    tiny: Callable[[str], LoadedModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_forward: None,
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6, 1000))

    with pytest.raises(CacheTooLarge, match="free space, choose another disk"):
        read(tiny("gpt2"), tmp_path)


def test_a_disk_that_fills_up_leaves_no_half_shard(
    tiny: Callable[[str], LoadedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "_write_header", full)
    with pytest.raises(CacheTooLarge):
        read(tiny("gpt2"), tmp_path)

    assert [path.name for path in tmp_path.rglob("*shard*")] == []


def test_a_reading_that_is_not_finite_is_refused_with_its_text(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    broken = gpt2()
    thing = tiny("gpt2").tokenizer("z")["input_ids"][0]
    with torch.no_grad():
        broken.transformer.wte.weight[thing] = float("nan")
    loaded = load_model(broken, tokenizer=tiny("gpt2").tokenizer)
    examples = list(DATA.examples)
    answer = {"role": "assistant", "content": "I doze."}
    examples[3] = replace(examples[3], messages=(examples[3].messages[0], answer))

    with pytest.raises(NonFiniteReading, match=r"toy\.jsonl:4: the reading at blocks"):
        read(loaded, tmp_path, replace(DATA, examples=tuple(examples)))


def test_bfloat16_is_kept_bit_by_bit(tiny: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    torch.manual_seed(0)
    loaded = load_model(gpt2(), tokenizer=tiny("gpt2").tokenizer, dtype="bfloat16")

    found = read(loaded, tmp_path)

    assert found.shards[0].dtype == np.uint16
    with Reader(loaded, [SITES[0]]) as reader:
        ids = torch.tensor([found.rendered[0].token_ids])
        alone = reader.forward(Inputs(input_ids=ids)).readings[SITES[0]][0]
    kept = at(found, SITES[0])[: found.lengths[0]]
    np.testing.assert_allclose(
        kept, alone[-found.lengths[0] :].float().numpy(), rtol=0.05, atol=0.05
    )
    assert torch.equal(torch.from_numpy(kept), torch.from_numpy(kept).bfloat16().float())


def test_what_cannot_be_read_is_refused_with_its_line(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    first = DATA.examples[0]
    long = replace(
        first, messages=(*first.messages[:1], {"role": "assistant", "content": "x" * 300})
    )
    empty = replace(first, messages=({"role": "assistant", "content": ""},))

    with pytest.raises(TextTooLong, match=r"toy\.jsonl:1: 3\d\d tokens, .* holds 256"):
        read(tiny("gpt2"), tmp_path, replace(DATA, examples=(long,)))
    with pytest.raises(NothingToRead, match=r"toy\.jsonl:1"):
        read(tiny("gpt2"), tmp_path, replace(DATA, examples=(empty,)))


def test_a_site_that_was_not_collected_is_an_error_and_not_a_zero(
    tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    found = read(tiny("gpt2"), tmp_path)

    with pytest.raises(UnknownSite, match="not collected"):
        next(found.blocks(Site(1, "hook_resid_post")))
    with pytest.raises(UnknownSite, match="no site"):
        collect(tiny("gpt2"), DATA, [Site(9, "hook_resid_post")], cache=tmp_path, console=QUIET)
