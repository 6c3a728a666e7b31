"""Readings of a data set, on disk, taken through the same reader that serves.

The cache is keyed by the model's fingerprint, the data's digest and the sites. It
consists of shards, each the readings of a few neighbouring examples in the model's
own precision, `[sites, tokens, d_model]`, memory-mapped when they are used. A shard
is there whole or not at all: after a kill the next run takes what is there and reads
the rest. One process reads them, or a crew of several.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from rich.console import Console

from probing.errors import UnknownSite
from probing.model import LoadedModel
from probing.prompt import Rendered
from probing.reader import Reader
from probing.spec import Site, Span, digest_of
from training.datasets.schema import Dataset
from training.errors import CacheTooLarge
from training.progress import progress
from training.scale.crew import Crew
from training.scale.reading import Reading
from training.shards import Shard, ShardOrder, as_float32, open_shard, remove_leftovers
from training.texts import render

DEFAULT_CACHE = Path("var/cache/readings")
SHARD_EXAMPLES = 256
_SLACK = 1.05
"""Room left on the disk beyond the estimate."""


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
            yield range(first, min(first + SHARD_EXAMPLES, n)), as_float32(shard[row])

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
        return as_float32(block).transpose(1, 0, 2)


def collect(
    loaded: LoadedModel,
    dataset: Dataset,
    sites: Sequence[Site],
    *,
    cache: Path,
    console: Console,
    whole: bool = False,
    crew: Crew | None = None,
) -> Collected:
    """Read a data set at some sites, or take from the cache what was read before.

    Args:
        sites: where to read; sorted in the result.
        cache: directory of all caches.
        whole: keep the prompt's readings too; otherwise the answer's alone.
        crew: who reads, each with a model of its own; this process, with `loaded`, if None.

    Raises:
        UnknownSite: the model does not have one of the sites.
        CacheTooLarge: the estimated size exceeds what the disk has free, or it filled up.
        NonFiniteReading: a reading is NaN or infinite; names the example.
        TextTooLong, NothingToRead, TemplateError: an example cannot be read.
        ModelInMemory, WorkerDied, RayMissing: the crew cannot work.
    """
    sites = tuple(sorted(set(sites)))
    for site in sites:
        loaded.sites.require(site)
    rendered = render(loaded, dataset)
    job = _Job(
        loaded=loaded,
        dataset=dataset,
        rendered=rendered,
        sites=sites,
        starts=np.array([0 if whole else r.response_start for r in rendered]),
    )
    orders = job.orders(cache / job.key)
    missing = [order for order in orders if not order.is_there()]
    needed = sum(order.bytes for order in missing)
    with _explained(cache / job.key, needed):
        _require_room(cache / job.key, needed)
        job.describe(cache / job.key)
        if missing:
            console.print(_announcement(missing, needed, cache), highlight=False)
            tokens = sum(order.tokens for order in missing)
            with progress(console, f"reading {dataset.name}", tokens, "tok") as advance:
                for done in _read(loaded, missing, crew):
                    advance(done)
    return Collected(
        dataset=dataset,
        rendered=rendered,
        sites=sites,
        starts=job.starts,
        lengths=np.array([len(r.token_ids) for r in rendered]) - job.starts,
        shards=tuple(open_shard(order.path) for order in orders),
    )


def _read(loaded: LoadedModel, orders: Sequence[ShardOrder], crew: Crew | None) -> Iterator[int]:
    """Have shards read and written; yields how many tokens are done each time."""
    if crew is not None:
        yield from crew.work(Reading.of(loaded), orders)
        return
    with Reader(loaded, orders[0].sites) as reader:
        for order in orders:
            yield from order.write(reader)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What is to be read, and how it is laid out."""

    loaded: LoadedModel
    dataset: Dataset
    rendered: list[Rendered]
    sites: tuple[Site, ...]
    starts: NDArray[np.int64]

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
        """Make the folder, clear it of what was never finished, and say what it holds."""
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        (folder / "key.json").write_text(json.dumps(self.identity, indent=1) + "\n")

    def orders(self, folder: Path) -> list[ShardOrder]:
        """All shards, each of a few neighbouring examples."""
        return [
            ShardOrder(
                path=folder.absolute() / f"shard-{number:05d}.npy",
                sites=self.sites,
                rendered=tuple(self.rendered[first : first + SHARD_EXAMPLES]),
                starts=tuple(self.starts[first : first + SHARD_EXAMPLES].tolist()),
                wheres=tuple(
                    example.where or example.id
                    for example in self.dataset.examples[first : first + SHARD_EXAMPLES]
                ),
                d_model=self.loaded.d_model,
                dtype=self.loaded.spec.dtype,
            )
            for number, first in enumerate(range(0, len(self.rendered), SHARD_EXAMPLES))
        ]


def _announcement(orders: Sequence[ShardOrder], needed: int, cache: Path) -> str:
    """What is about to be read and how much room it takes, in one line."""
    answers = sum(len(order.rendered) for order in orders)
    count = len(orders[0].sites)
    sites = f"{count} site{'' if count == 1 else 's'}"
    return f"reading {answers:,} answers at {sites}, {needed / 1e6:,.1f} MB in {cache}"


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
