"""The two forms of forward pass: prompts in chunks, and one token of every running row.

Both hand `Reader` ordinary padded inputs with explicit positions. Neither knows
whose rows these are; the scheduler does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probing.reader import Inputs, Pass, Reader
from service.engines.cache import RowCache, new_cache

_MASK_BLOCK = 256


class Prefill:
    """Reads a group of prompts, left-padded, some columns at a time.

    Rows are sorted by length, so those that have begun are always the first ones: a
    short prompt costs nothing until its own columns come.
    """

    def __init__(self, model: Any, prompts: Sequence[tuple[int, ...]]) -> None:
        """Prepare prompts of at least one token, longest first."""
        device = model.device
        self.lengths = [len(prompt) for prompt in prompts]
        self.longest = self.lengths[0]
        ids = np.zeros((len(prompts), self.longest), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, self.longest - len(prompt) :] = prompt
        self._ids = torch.from_numpy(ids).to(device)
        self._pads = self.longest - torch.tensor(self.lengths, device=device)[:, None]
        self._columns = torch.arange(self.longest, device=device)
        self._done = 0
        self.cache = new_cache(model, rows=len(prompts), columns=self.longest)

    def advance(self, reader: Reader, tokens_max: int) -> Pass | None:
        """Read the next columns, `tokens_max` tokens at most but one column at least.

        Returns:
            The pass with every row's last logits once all is read, before that None.
        """
        start, end = self._done, self._next_end(tokens_max)
        rows = self._begun(end)
        columns, pads = self._columns[start:end], self._pads[:rows]
        padded = self.lengths[rows - 1] < self.longest
        output = reader.forward(
            Inputs(
                input_ids=self._ids[:rows, start:end],
                attention_mask=(self._columns[:end] >= pads) if padded else None,
                position_ids=(columns - pads).clamp_(min=0),
                cache=self.cache,
            ),
            last_logits_only=True,
        )
        self.cache.advance(end - start)
        self._done = end
        return output if end == self.longest else None

    @property
    def tokens_read(self) -> int:
        """Prompt tokens read so far, padding not counted."""
        missing = self.longest - self._done
        return sum(max(0, length - missing) for length in self.lengths)

    def _begun(self, end: int) -> int:
        """Rows that have a token before column `end`."""
        return sum(self.longest - length < end for length in self.lengths)

    def _next_end(self, tokens_max: int) -> int:
        """Where the next chunk ends: more columns may mean more rows, so ask twice."""
        width = self.longest - self._done
        for _ in range(2):
            width = max(1, min(width, tokens_max // self._begun(self._done + width)))
        return self._done + width


class DecodeBatch:
    """Rows that each read one token a step."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: RowCache = new_cache(model)
        self._lengths = np.zeros(0, dtype=np.int64)
        self._positions = torch.zeros(0, 1, dtype=torch.long, device=model.device)
        self._mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def bytes(self) -> int:
        """Allocated for keys and values."""
        return self._cache.bytes

    @property
    def tokens_held(self) -> int:
        """Tokens whose keys and values are held, over all rows."""
        return int(self._lengths.sum())

    def join(self, prefill: Prefill) -> None:
        """Append the rows of a finished prefill."""
        self._cache.append(prefill.cache, len(prefill.lengths), prefill.longest)
        self._lengths = np.append(self._lengths, prefill.lengths)
        self._lay_out()

    def leave(self, rows: Sequence[int]) -> None:
        """Drop rows, the highest first; each time the last row takes the place that is freed."""
        for row in rows:
            self._cache.remove(row)
            self._lengths[row] = self._lengths[-1]
            self._lengths = self._lengths[:-1]
        self._lay_out()

    def step(self, reader: Reader, tokens: Sequence[int]) -> Pass:
        """Read one token of each row."""
        self._cache.make_room()
        output = reader.forward(
            Inputs(
                input_ids=torch.tensor(tokens, device=self._model.device)[:, None],
                attention_mask=self._visible(),
                position_ids=self._positions,
                cache=self._cache,
            ),
            last_logits_only=True,
        )
        self._cache.advance(1)
        self._lengths += 1
        self._positions += 1
        return output

    def _visible(self) -> Tensor | None:
        """Mask over what is held and the new column; None where all rows are equally long."""
        if self._mask is None:
            return None
        columns = self._cache.get_seq_length() + 1
        if columns > self._mask.shape[1]:
            self._mask = self._new_mask()
        return self._mask[:, :columns]

    def _lay_out(self) -> None:
        """Positions, mask and visible columns for the rows that there are now."""
        if not len(self):
            return
        self._cache.trim(int(self._lengths.max()))
        lengths = torch.from_numpy(self._lengths.copy())
        self._positions = lengths[:, None].to(self._model.device)
        uniform = self._lengths.min() == self._lengths.max()
        self._mask = None if uniform else self._new_mask()

    def _new_mask(self) -> Tensor:
        """Boolean mask in visible columns, with room for steps to come."""
        longest = int(self._lengths.max())
        pads = torch.from_numpy(longest - self._lengths)[:, None]
        mask = torch.arange(longest + _MASK_BLOCK) >= pads
        return mask.to(self._model.device)


def last_logits(output: Pass, rows: int) -> Float[Tensor, "rows vocabulary"]:
    """Next-token logits of a pass over `rows` rows, as float32.

    Raises:
        ValueError: the model gave another shape.
    """
    if output.logits.ndim != 3 or output.logits.shape[:2] != (rows, 1):
        found = list(output.logits.shape)
        raise ValueError(f"expected logits of shape [{rows}, 1, vocabulary], found {found}")
    return output.logits[:, 0].float()
