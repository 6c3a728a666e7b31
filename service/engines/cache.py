"""Keys and values of a changing batch, laid out so that a model sees a plain padded one.

Rows are right-aligned: all of them write at the same column, `cursor`, and a row
of n tokens occupies the n columns before it. What attention is shown is the columns
from `begin`, where the longest row starts, on. To a Hugging Face model this is an
ordinary left-padded batch with a mask and explicit positions, so every architecture
that takes those takes this cache, sliding windows included.

Invariant: within [begin, cursor) every active row holds either its own tokens or
zeros, never another stream's values: a masked NaN still spoils a sum.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

KeyValues = Float[Tensor, "rows heads columns width"]

COLUMNS_BLOCK = 64
"""Columns that are free after the buffers grew: they are copied once in so many steps."""
ROWS_BLOCK = 4
"""Rows are allocated in such portions, so that not every join copies the rest."""


class Frame:
    """Which part of the buffers is in use; one object for all layers."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self.columns = columns
        self.begin = 0
        self.cursor = 0


class RowLayer(CacheLayerMixin):  # type: ignore[misc]
    """One block's keys and values, [rows, heads, columns, width], allocated at first use."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self._frame = frame

    def lazy_initialization(self, key_states: KeyValues, value_states: KeyValues) -> None:
        """Allocate zeros in the shapes of the first keys and values; the two may differ."""
        self.keys = self._blank(key_states, self._frame.rows, self._frame.columns)
        self.values = self._blank(value_states, self._frame.rows, self._frame.columns)
        self.is_initialized = True

    def update(
        self, key_states: KeyValues, value_states: KeyValues, *args: Any, **kwargs: Any
    ) -> tuple[KeyValues, KeyValues]:
        """Write the new columns at the cursor and show everything from `begin` to there."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        frame = self._frame
        rows, end = key_states.shape[0], frame.cursor + key_states.shape[2]
        self.keys[:rows, :, frame.cursor : end] = key_states
        self.values[:rows, :, frame.cursor : end] = value_states
        return self.keys[:rows, :, frame.begin : end], self.values[:rows, :, frame.begin : end]

    def move(self, source: int, target: int) -> None:
        """Copy one row over another, all visible columns of it."""
        for part in (self.keys, self.values):
            part[target, :, self._frame.begin : self._frame.cursor] = part[
                source, :, self._frame.begin : self._frame.cursor
            ]

    def blank(self, rows: slice, columns: slice) -> None:
        """Zero a rectangle."""
        self.keys[rows, :, columns] = 0
        self.values[rows, :, columns] = 0

    def write(self, other: RowLayer, at_row: int, rows: int, at_column: int, columns: int) -> None:
        """Copy the first columns of another layer's first rows to a place in this one."""
        if not self.is_initialized:
            self.lazy_initialization(other.keys, other.values)
        place = (slice(at_row, at_row + rows), slice(None), slice(at_column, at_column + columns))
        self.keys[place] = other.keys[:rows, :, :columns]
        self.values[place] = other.values[:rows, :, :columns]

    def relocate(self, rows: int, columns: int, held_rows: int, shift_to: int) -> None:
        """Move what is visible into new buffers, so that it begins at column `shift_to`."""
        held = slice(self._frame.begin, self._frame.cursor)
        place = slice(shift_to, shift_to + self._frame.cursor - self._frame.begin)
        keys = self._blank(self.keys, rows, columns)
        keys[:held_rows, :, place] = self.keys[:held_rows, :, held]
        self.keys = keys
        values = self._blank(self.values, rows, columns)
        values[:held_rows, :, place] = self.values[:held_rows, :, held]
        self.values = values

    def release(self) -> None:
        """Give the buffers back; another thread may be asking for `bytes` at this moment."""
        self.keys, self.values = self.keys.new_zeros(0), self.values.new_zeros(0)
        self.is_initialized = False

    def get_seq_length(self) -> int:
        return self._frame.cursor - self._frame.begin

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1

    @property
    def bytes(self) -> int:
        """Of both buffers."""
        return int(self.keys.nbytes + self.values.nbytes) if self.is_initialized else 0

    @staticmethod
    def _blank(like: Tensor, rows: int, columns: int) -> Tensor:
        return like.new_zeros(rows, like.shape[1], columns, like.shape[3])


class RowCache(Cache):  # type: ignore[misc]
    """A transformers Cache whose rows join and leave."""

    def __init__(self, layers: int, *, rows: int = 0, columns: int = 0) -> None:
        """Room for `rows` rows of `columns` tokens; nothing is allocated before it is used."""
        self.frame = Frame(rows, columns)
        self.active = 0
        super().__init__(layers=[RowLayer(self.frame) for _ in range(layers)])

    @property
    def bytes(self) -> int:
        """Allocated in all layers."""
        return sum(layer.bytes for layer in self.layers)

    def advance(self, columns: int) -> None:
        """Count the columns that a forward pass has just written."""
        self.frame.cursor += columns

    def make_room(self) -> None:
        """Have a free column at the cursor."""
        if self.frame.cursor == self.frame.columns:
            self._relocate(self.active, self.frame.cursor - self.frame.begin)

    def append(self, other: RowCache, rows: int, length: int) -> None:
        """Take in the first `rows` rows of another cache, which hold `length` columns each."""
        frame, wanted = self.frame, self.active + rows
        if wanted > frame.rows or length > frame.cursor or frame.cursor == frame.columns:
            room = -(-wanted // ROWS_BLOCK) * ROWS_BLOCK
            self._relocate(room, max(length, frame.cursor - frame.begin))
        at_column = frame.cursor - length
        begin = min(frame.begin, at_column)
        for layer, source in zip(self.layers, other.layers, strict=True):
            if not source.is_initialized:
                continue
            if self.active:
                layer.blank(slice(0, self.active), slice(begin, frame.begin))
            layer.write(source, self.active, rows, at_column, length)
            layer.blank(slice(self.active, wanted), slice(begin, at_column))
        frame.begin, self.active = begin, wanted

    def remove(self, row: int) -> None:
        """Drop a row; the last one takes its place."""
        self.active -= 1
        if row != self.active:
            for layer in self._used():
                layer.move(self.active, row)
        if not self.active:
            self._release()

    def trim(self, longest: int) -> None:
        """Show no more columns than the longest row needs."""
        self.frame.begin = self.frame.cursor - longest

    def _used(self) -> list[RowLayer]:
        """Layers that hold something: a model's blocks may share one, or do without."""
        return [layer for layer in self.layers if layer.is_initialized]

    def _relocate(self, rows: int, held: int) -> None:
        """New buffers for `rows` rows in which the cursor stands at `held` and a block is free."""
        frame, columns = self.frame, held + COLUMNS_BLOCK
        begin = held - (frame.cursor - frame.begin)
        for layer in self._used():
            layer.relocate(rows, columns, self.active, begin)
        frame.rows, frame.columns, frame.begin, frame.cursor = rows, columns, begin, held

    def _release(self) -> None:
        for layer in self._used():
            layer.release()
        self.frame.rows = self.frame.columns = self.frame.begin = self.frame.cursor = 0


def new_cache(model: Any, *, rows: int = 0, columns: int = 0) -> RowCache:
    """A row cache with a layer for each of a model's blocks."""
    layers = int(model.config.get_text_config().num_hidden_layers)
    return RowCache(layers, rows=rows, columns=columns)
