"""Readings of a data set, on disk, taken through the same reader that serves.

The cache is keyed by the model's fingerprint, the data's digest and the sites. It
consists of shards, each the readings of a few neighbouring examples in the model's
own precision, `[sites, tokens, d_model]`, memory-mapped when they are used. A shard
is written under another name and renamed when it is whole: after a kill the next run
takes what is there and reads the rest.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from probing.errors import UnknownSite
from probing.model import LoadedModel
from probing.prompt import Rendered
from probing.reader import Reader, read_exchanges
from probing.spec import Site, Span, digest_of
from training.datasets.schema import Dataset
from training.errors import CacheTooLarge, NonFiniteReading
from training.progress import Advance, progress
from training.texts import render

DEFAULT_CACHE = Path("var/cache/readings")
SHARD_EXAMPLES = 256
_STORED: dict[torch.dtype, np.dtype[np.generic]] = {
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(np.uint16),  # numpy has no bfloat16: the bits, as they are
}
_SLACK = 1.05
"""Room left on the disk beyond the estimate."""

Shard = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The answers' readings of a data set, ragged: example i has `lengths[i]` tokens."""

    dataset: Dataset
    """What was read."""
    rendered: list[Rendered]
    """Its tokens, prompt and answer."""
    sites: tuple[Site, ...]
    """What can be asked for."""
    starts: Int[NDArray[np.int64], " examples"]
    """First token of each example that is kept: 0, or where its answer begins."""
    lengths: Int[NDArray[np.int64], " examples"]
    """Tokens kept of each example."""
    shards: tuple[Shard, ...]
    """Memory-mapped, each [sites, tokens, d_model], in the model's precision."""

    def blocks(
        self, site: Site
    ) -> Iterator[tuple[range, Float[NDArray[np.float32], "tokens d_model"]]]:
        """The kept readings at one site, shard by shard: its examples, and their tokens in a row.

        Raises:
            UnknownSite: the site was not collected.
        """
        if site not in self.sites:
            raise UnknownSite(str(site), [str(s) for s in self.sites], "it was not collected")
        row, n = self.sites.index(site), len(self.lengths)
        for number, shard in enumerate(self.shards):
            first = number * SHARD_EXAMPLES
            yield range(first, min(first + SHARD_EXAMPLES, n)), _as_float32(shard[row])

    def tokens(
        self, example: int, sites: Sequence[Site], span: Span
    ) -> Float[NDArray[np.float32], "tokens sites d_model"]:
        """What one example's tokens of a span read, the sites side by side."""
        shard, first = divmod(example, SHARD_EXAMPLES)
        begin = int(self.lengths[example - first : example].sum()) - int(self.starts[example])
        rendered = self.rendered[example]
        counted = span.slice(rendered.response_start, len(rendered.token_ids))
        rows = [self.sites.index(site) for site in sites]
        block = self.shards[shard][rows, begin + counted.start : begin + counted.stop]
        return _as_float32(block).transpose(1, 0, 2)


def collect(
    loaded: LoadedModel,
    dataset: Dataset,
    sites: Sequence[Site],
    *,
    cache: Path,
    console: Console,
    whole: bool = False,
) -> Collected:
    """Read a data set at some sites, or take from the cache what was read before.

    Args:
        sites: where to read; sorted in the result.
        cache: directory of all caches.
        whole: keep the prompt's readings too; otherwise the answer's alone.

    Raises:
        UnknownSite: the model does not have one of the sites.
        CacheTooLarge: the estimated size exceeds what the disk has free, or it filled up.
        NonFiniteReading: a reading is NaN or infinite; names the example.
        TextTooLong, NothingToRead, TemplateError: an example cannot be read.
    """
    sites = tuple(sorted(set(sites)))
    reader, rendered = Reader(loaded, sites), render(loaded, dataset)
    job = _Job(
        loaded=loaded,
        dataset=dataset,
        rendered=rendered,
        sites=sites,
        starts=np.array([0 if whole else r.response_start for r in rendered]),
        lengths=np.array([len(r.token_ids) - (0 if whole else r.response_start) for r in rendered]),
    )
    folder = cache / job.key
    shards = [folder / f"shard-{i:05d}.npy" for i in range(len(job.parts))]
    missing = [i for i, path in enumerate(shards) if not job.fits(path, i)]
    with _explained(folder, job.bytes_of(missing)):
        _require_room(folder, job.bytes_of(missing))
        job.describe(folder)
        if missing:
            console.print(job.announcement(missing, cache), highlight=False)
            tokens = sum(len(rendered[i].token_ids) for m in missing for i in job.parts[m])
            with (
                reader,
                progress(console, f"reading {dataset.name}", tokens, "tok") as advance,
            ):
                for part in missing:
                    _write(shards[part], job.read(reader, part, advance))
    return Collected(
        dataset=dataset,
        rendered=rendered,
        sites=job.sites,
        starts=job.starts,
        lengths=job.lengths,
        shards=tuple(np.load(path, mmap_mode="r", allow_pickle=False) for path in shards),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is to be read, and how it is laid out."""

    loaded: LoadedModel
    dataset: Dataset
    rendered: list[Rendered]
    sites: tuple[Site, ...]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def parts(self) -> list[range]:
        """The examples of each shard."""
        n = len(self.rendered)
        return [range(i, min(i + SHARD_EXAMPLES, n)) for i in range(0, n, SHARD_EXAMPLES)]

    @property
    def stored(self) -> np.dtype[np.generic]:
        """Type of the stored numbers."""
        return _STORED[self.loaded.model.dtype]

    @property
    def identity(self) -> dict[str, object]:
        """What the readings depend on."""
        return {
            "fingerprint": self.loaded.spec.fingerprint,
            "data": self.dataset.sha256,
            "sites": [str(site) for site in self.sites],
            "kept": "whole" if not self.starts.any() else "response",
            "shard_examples": SHARD_EXAMPLES,
        }

    @property
    def key(self) -> str:
        """Name of the cache's folder."""
        return digest_of(self.identity)[:16]

    def describe(self, folder: Path) -> None:
        """Write down what the folder holds, for people."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.json").write_text(json.dumps(self.identity, indent=1) + "\n")

    def shape(self, part: int) -> tuple[int, int, int]:
        """Of one shard."""
        tokens = int(self.lengths[self.parts[part]].sum())
        return len(self.sites), tokens, self.loaded.d_model

    def bytes_of(self, parts: Sequence[int]) -> int:
        """Size of some shards on the disk."""
        return sum(int(np.prod(self.shape(part))) * self.stored.itemsize + 128 for part in parts)

    def announcement(self, parts: Sequence[int], cache: Path) -> str:
        """What is about to be read and how much room it takes, in one line."""
        answers = sum(len(self.parts[part]) for part in parts)
        sites = f"{len(self.sites)} site{'' if len(self.sites) == 1 else 's'}"
        size = f"{self.bytes_of(parts) / 1e6:,.1f} MB"
        return f"reading {answers:,} answers at {sites}, {size} in {cache}"

    def fits(self, path: Path, part: int) -> bool:
        """Whether a shard is there, whole and of the expected form."""
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        return bool(shard.shape == self.shape(part) and shard.dtype == self.stored)

    def read(self, reader: Reader, part: int, advance: Advance) -> Shard:
        """One shard's readings."""
        examples = self.parts[part]
        shard = np.empty(self.shape(part), dtype=self.stored)
        begins = np.concatenate([[0], np.cumsum(self.lengths[examples])])
        for i, readings in read_exchanges(reader, [self.rendered[e] for e in examples]):
            example = examples[i]
            own = slice(int(begins[i]), int(begins[i + 1]))
            for row, site in enumerate(self.sites):
                kept = readings[site][int(self.starts[example]) :]
                if not bool(kept.isfinite().all()):
                    entry = self.dataset.examples[example]
                    raise NonFiniteReading(entry.where or entry.id, str(site))
                shard[row, own] = _bits(kept)
            advance(len(self.rendered[example].token_ids))
        return shard


def _bits(tensor: Tensor) -> Shard:
    tensor = tensor.cpu().contiguous()
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    array: Shard = bits.numpy()
    return array


def _as_float32(stored: Shard) -> NDArray[np.float32]:
    if stored.dtype == np.uint16:  # bfloat16 is the upper half of a float32
        widened: NDArray[np.uint32] = stored.astype(np.uint32) << np.uint32(16)
        return widened.view(np.float32)
    return np.array(stored, dtype=np.float32)


def _write(path: Path, shard: Shard) -> None:
    incoming = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with incoming.open("wb") as file:
            np.save(file, shard, allow_pickle=False)
        incoming.replace(path)
    finally:
        incoming.unlink(missing_ok=True)


def _require_room(folder: Path, needed: int) -> None:
    if needed * _SLACK > _free(folder):
        raise CacheTooLarge(str(folder), needed, _free(folder))


def _free(folder: Path) -> int:
    """Bytes that the disk has left under a folder that need not exist yet."""
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    return shutil.disk_usage(place).free


@contextmanager
def _explained(folder: Path, needed: int) -> Iterator[None]:
    """A disk that fills up while reading is told as one that was too small before."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise CacheTooLarge(str(folder), needed, _free(folder)) from error
