"""What a probe costs: operations per token, and time per token as in service.

Operations are counted and exact. Time is measured right behind a forward pass of the model,
which leaves the machine's caches as a step in service does, and it is that of one machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from transformers import DynamicCache

from probing.estimates import Estimate, median
from probing.model import LoadedModel
from probing.monitor import Monitor
from probing.policy import Action
from probing.probe import Probe, ProbeSet
from probing.reader import Inputs, Reader
from probing.step_bank import StepBank
from training.collect import Collected
from training.evaluate import evaluate, parts_of
from training.evaluation.claim import told
from training.evaluation.subject import Json, Section, Subject

BATCHES = (1, 32)
"""Streams that run at the same time."""
ROUNDS = 200
"""Measured steps; fewer where the context is shorter."""
WARMUPS = 10
PROMPT_TOKENS = 32
TOKEN = 1
"""Any token: which one is read does not change how long it takes."""
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Medians over steps of one batch."""

    streams: int
    """In the batch."""
    bank: Estimate
    """Microseconds per token from readings to channels on the host."""
    monitor: Estimate
    """Microseconds per token from channels to decisions."""
    both: Estimate
    """Microseconds per token of bank and monitor."""
    model: Estimate
    """Microseconds per token of the forward pass before them."""
    share: Estimate
    """Bank and monitor as a share of that pass, step by step."""


def cost(subject: Subject) -> Section:
    """Operations and microseconds per token, beside what the probe catches for them."""
    loaded, probe = subject.loaded, subject.probe
    own, whole = operations_of(probe), operations_of_model(loaded)
    timings = [timing(loaded, probe, streams=streams) for streams in BATCHES]
    caught: list[Json] = [
        {"name": t.dataset.name, "recall": _recall(probe, t)} for t in subject.tests
    ]
    return Section(
        name="cost",
        title="What it costs",
        findings=[
            f"The probe takes {own:,} floating-point operations per token, a share of "
            f"{own / whole:.2g} of the model's {whole:,}.",
            *map(_finding, timings),
            *(
                f"For this it catches {told(one['recall'])} of misbehaving answers of "
                f"{one['name']} at its shipped threshold."
                for one in caught
            ),
        ],
        figures={
            "operations_per_token": {"probe": own, "model": whole, "share": own / whole},
            "microseconds_per_token": [asdict(one) for one in timings],
            "recall": caught,
        },
    )


def operations_of(probe: Probe) -> int:
    """Floating-point operations per token: one product per site, and one for a readout."""
    layers = [*probe.weights.values(), *([probe.readout.weights] if probe.readout else [])]
    return sum(2 * layer.size for layer in layers)


def operations_of_model(loaded: LoadedModel) -> int:
    """Twice its parameters; attention over what was read before comes on top.

    Source: Kaplan et al., "Scaling Laws for Neural Language Models" (2020).
    """
    return sum(2 * parameter.numel() for parameter in loaded.model.parameters())


def microseconds_per_token(loaded: LoadedModel, probe: Probe, *, streams: int = 1) -> Estimate:
    """Of scoring and judging one token, right behind a forward pass."""
    return timing(loaded, probe, streams=streams).both


@torch.inference_mode()
def timing(loaded: LoadedModel, probe: Probe, *, streams: int) -> Timing:
    """Measure steps in which each of some streams reads one token with a cache.

    The median's interval is over the steps: what neighbours on the machine do is in it.
    """
    probe_set = ProbeSet((probe,))
    bank, monitor = StepBank(probe_set, loaded.device), Monitor(probe_set, streams_max=streams)
    for _ in range(streams):
        monitor.open(Action.FLAG)
    cache = DynamicCache(config=loaded.model.config)
    prompt = min(PROMPT_TOKENS, loaded.context // 2)
    steps = min(WARMUPS + ROUNDS, loaded.context - prompt)
    ids = torch.full((streams, prompt), TOKEN, device=loaded.device)
    laps = []
    with Reader(loaded, probe_set.sites) as reader:
        reader.forward(Inputs(input_ids=ids, cache=cache), last_logits_only=True)
        for _ in range(steps):
            began = perf_counter()
            step = Inputs(input_ids=ids[:, :1], cache=cache)
            readings = reader.forward(step, last_logits_only=True).readings
            if loaded.device.type == "cuda":
                torch.cuda.synchronize(loaded.device)  # or the pass would count as scoring
            read = perf_counter()
            channels = bank.score(readings, streams)
            scored = perf_counter()
            monitor.push(channels)
            laps.append((read - began, scored - read, perf_counter() - scored))
    kept = np.array(laps[min(WARMUPS, steps // 2) :]) * MICROSECONDS / streams
    return _timing(streams, kept)


def _timing(streams: int, laps: Float[NDArray[np.float64], "steps 3"]) -> Timing:
    model, bank, monitor = laps.T
    return Timing(
        streams=streams,
        bank=median(bank),
        monitor=median(monitor),
        both=median(bank + monitor),
        model=median(model),
        share=median((bank + monitor) / model),
    )


def _recall(probe: Probe, test: Collected) -> Json | None:
    (whole,) = evaluate(probe, test, parts=lambda test: [next(parts_of(test))])
    return whole.recall.as_json() if whole.recall else None


def _finding(one: Timing) -> str:
    streams = f"{one.streams} stream{'' if one.streams == 1 else 's'}"
    return (
        f"With {streams} scoring takes {_rounded(one.bank)} and judging {_rounded(one.monitor)} "
        f"microseconds per token, right behind the model's {_rounded(one.model)}: a share of "
        f"{told(asdict(one.share))}."
    )


def _rounded(estimate: Estimate) -> str:
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}] n={estimate.n}"
