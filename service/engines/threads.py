"""How many threads a step is quickest with, tried on the real model.

A step of a small model is hundreds of small products, and waking a second thread for
each costs more than it saves: with four million parameters and eight rows, one thread
takes 6 ms where two take 10. With many rows or a large model it is the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter

import torch

from probing.reader import Reader
from service.engines.batch import DecodeBatch, Prefill

_ROWS = (1, 2, 4, 8, 16, 32)
_PROMPT_TOKENS = 16
_STEPS = 3
_ROUNDS = 3
_WORTH = 1.5
"""How much faster all threads must be when nothing else runs. In service the event loop wants
a core as well, and a product waits for its slowest thread: with four million parameters on two
cores, 1.2 to 1.4 times as fast in a trial was 1.2 to 1.6 times as slow in service."""
LONG_STEP_SECONDS = 0.05
"""A step of one row that takes longer is worth all threads and not worth trying."""


class StepThreads:
    """One thread for steps of few rows, all of them for the rest and for prompts."""

    def __init__(self) -> None:
        self.rows_alone = 0
        """The most rows for which all threads are not worth waking."""
        self._all = torch.get_num_threads()

    @torch.inference_mode()
    def try_out(self, reader: Reader, rows_max: int) -> None:
        """Take the time of a few steps; call it in the thread that will take all others."""
        if reader.loaded.device.type != "cpu" or self._all == 1:
            return
        for rows in (rows for rows in _ROWS if rows <= rows_max):
            together = self._seconds(reader, rows, self._all)
            if together > LONG_STEP_SECONDS:
                return
            alone = self._seconds(reader, rows, 1)
            for _ in range(_ROUNDS - 1):  # in turn: what else runs here disturbs either
                together = min(together, self._seconds(reader, rows, self._all))
                alone = min(alone, self._seconds(reader, rows, 1))
            if alone > _WORTH * together:
                return
            self.rows_alone = rows

    def chosen_for(self, rows: int) -> AbstractContextManager[None]:
        """Run a step of so many rows; torch's setting is back as it was afterwards."""
        return _one_thread(self._all) if rows <= self.rows_alone else nullcontext()

    def _seconds(self, reader: Reader, rows: int, threads: int) -> float:
        """Of the quickest of a few steps: what else runs on the machine only adds to it."""
        prefill = Prefill(reader.loaded.model, [tuple(range(_PROMPT_TOKENS))] * rows)
        while prefill.advance(reader, rows * _PROMPT_TOKENS) is None:
            pass
        batch = DecodeBatch(reader.loaded.model)
        batch.join(prefill)
        torch.set_num_threads(threads)
        try:
            return min(_timed(batch, reader, rows) for _ in range(_STEPS))
        finally:
            torch.set_num_threads(self._all)


@contextmanager
def _one_thread(before: int) -> Iterator[None]:
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timed(batch: DecodeBatch, reader: Reader, rows: int) -> float:
    began = perf_counter()
    batch.step(reader, [1] * rows)
    return perf_counter() - began
