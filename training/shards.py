"""One shard of readings: what it is to hold, and how it comes onto the disk.

Every reading goes straight to its own place in the file. So memory holds one forward
pass, whatever the size of the shard, and the file is given its name when it is whole:
after a kill there is a shard or there is none.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probing.prompt import Rendered
from probing.reader import Reader, Readings, read_exchanges
from probing.spec import Site
from training.errors import NonFiniteReading

Shard = NDArray[np.generic]
"""[sites, tokens, d_model], in the model's own precision."""

_STORED: dict[str, np.dtype[np.generic]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(np.uint16),  # numpy has no bfloat16: the bits, as they are
}
TOKENS_MAX = 1024
"""Padded tokens of one forward pass: more makes no pass quicker, and takes more memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOrder:
    """What one shard is to hold; plain data, so that any process can read it."""

    path: Path
    """The finished file."""
    sites: tuple[Site, ...]
    """Rows of the shard."""
    rendered: tuple[Rendered, ...]
    """Its examples, one after the other."""
    starts: tuple[int, ...]
    """First token of each example that is kept."""
    wheres: tuple[str, ...]
    """What each example is called in messages to people."""
    d_model: int
    """Width of a reading."""
    dtype: str
    """Precision of the forward pass, which is that of the file."""

    @property
    def stored(self) -> np.dtype[np.generic]:
        """Type of the stored numbers."""
        return _STORED[self.dtype]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the shard: sites, tokens, d_model."""
        kept = sum(len(r.token_ids) - s for r, s in zip(self.rendered, self.starts, strict=True))
        return len(self.sites), kept, self.d_model

    @property
    def bytes(self) -> int:
        """Size of its file; the header takes 128."""
        return int(np.prod(self.shape)) * self.stored.itemsize + 128

    @property
    def tokens(self) -> int:
        """What the model has to read for it."""
        return sum(len(rendered.token_ids) for rendered in self.rendered)

    def is_there(self) -> bool:
        """Whether its file exists, whole and of the expected form."""
        try:
            shard = open_shard(self.path)
        except (OSError, ValueError, EOFError):
            return False
        return bool(shard.shape == self.shape and shard.dtype == self.stored)

    def write(self, reader: Reader) -> Iterator[int]:
        """Read it, write it, and say the tokens of each example when they are on the disk.

        Raises:
            NonFiniteReading: a reading is NaN or infinite; names the example.
        """
        incoming = self.path.with_name(f".{self.path.name}.{platform.node()}.{os.getpid()}")
        tokens = self.shape[1]
        ends = np.cumsum([len(r.token_ids) for r in self.rendered]) - np.cumsum(self.starts)
        try:
            with incoming.open("wb") as file:
                _write_header(file, self.shape, self.stored)
                first = file.tell()
                for example, readings in read_exchanges(
                    reader, self.rendered, tokens_max=TOKENS_MAX
                ):
                    kept = self._kept(example, readings)
                    begin = int(ends[example]) - kept.shape[1]
                    for row, own in enumerate(kept):
                        file.seek(first + (row * tokens + begin) * own[0].nbytes)
                        file.write(own.data)
                    yield len(self.rendered[example].token_ids)
            incoming.replace(self.path)
        finally:
            incoming.unlink(missing_ok=True)

    def _kept(self, example: int, readings: Readings) -> NDArray[np.generic]:
        """The kept readings of one example as they are stored, shape [sites, tokens, d_model]."""
        start = self.starts[example]
        kept = torch.stack([readings[site][start:] for site in self.sites])
        lowest, highest = kept.flatten(1).aminmax(dim=1)  # NaN wins both, and costs one pass
        broken = (lowest.isfinite() & highest.isfinite()).logical_not().nonzero()
        if len(broken):
            raise NonFiniteReading(self.wheres[example], str(self.sites[int(broken[0])]))
        return _bits(kept)


def open_shard(path: Path) -> Shard:
    """A shard that stays on the disk until it is used.

    Raises:
        OSError, ValueError, EOFError: there is none, or it is not whole.
    """
    shard: Shard = np.load(path, mmap_mode="r", allow_pickle=False)
    return shard


def as_float32(stored: Shard) -> NDArray[np.float32]:
    """Stored numbers as numbers to reckon with; a copy."""
    if stored.dtype == np.uint16:  # bfloat16 is the upper half of a float32
        widened: NDArray[np.uint32] = stored.astype(np.uint32) << np.uint32(16)
        return widened.view(np.float32)
    return np.array(stored, dtype=np.float32)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine had begun to write when they were killed.

    What a running process is writing stays, and so does another machine's.
    """
    for begun in folder.glob(f".shard-*.{platform.node()}.*"):
        if not _runs(int(begun.suffix[1:])):
            begun.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_header(file: BinaryIO, shape: tuple[int, ...], stored: np.dtype[np.generic]) -> None:
    described = {
        "descr": np.lib.format.dtype_to_descr(stored),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, described)


def _bits(tensor: Tensor) -> Shard:
    tensor = tensor.cpu().contiguous()
    bits = tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor
    array: Shard = bits.numpy()
    return array
