"""Try on the real model that a row in the batch is read as it is read alone.

The batch relies on masks and positions being honoured. A model that takes its
positions from somewhere else would be read at wrong places with the right shapes
and no error, so the engine does not start with it.
"""

from __future__ import annotations

import torch

from probing.reader import Inputs, Reader
from service.engines.batch import DecodeBatch, Prefill
from service.engines.protocol import EngineFailure

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.02}
"""Largest accepted difference, as a share of the largest reading, by precision."""
_LONG, _SHORT = 13, 6
_CHUNK_TOKENS = 8


@torch.inference_mode()
def require_sound_layout(reader: Reader) -> None:
    """Read two rows of different length in chunks and steps, and compare with reading them alone.

    Raises:
        EngineFailure: `layout_mismatch`.
    """
    rows = [tuple(range(1, 1 + _LONG)), tuple(range(2, 2 + _SHORT))]
    worst = 0.0
    model = reader.loaded.model
    prefill = Prefill(model, [row[:-2] for row in rows])
    while prefill.advance(reader, _CHUNK_TOKENS) is None:
        pass
    batch = DecodeBatch(model)
    batch.join(prefill)
    for place in (-2, -1):
        readings = batch.step(reader, [row[place] for row in rows]).readings
        for index, row in enumerate(rows):
            ids = torch.tensor([row[: len(row) + place + 1]], device=reader.loaded.device)
            alone = reader.forward(Inputs(input_ids=ids)).readings
            for site, reading in readings.items():
                expected = alone[site][0, -1].float()
                difference = (reading[index, -1].float() - expected).abs().max()
                worst = max(worst, float(difference / expected.abs().max()))
    if not worst <= _TOLERANCE[model.dtype]:
        raise EngineFailure(
            "layout_mismatch",
            f"{reader.loaded.sites.architecture} reads a padded row off by {worst:.1e} of its "
            "largest reading; it does not honour masks and positions, so serve it with vLLM",
        )
