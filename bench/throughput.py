"""Family 3: tokens per second, against what a user would run instead.

All sides run the same tensors, may use the same threads, take the likeliest token and
give every prompt the same number of tokens. Ours takes fewer threads where it has found
that quicker; the others take torch's default, as they do for a user. Several streams
have prompts of unequal length, as requests have: the others read them as one padded
static batch. Our side scores every token under eight probes; the others watch nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import GenerationConfig

from bench.contest import Contest, Sides
from bench.driving import Driver, Prompts, WrongLength, drive
from bench.rows import AGAIN, Figures, Row, Samples, column, paired
from bench.subjects import Subject, watched

FAMILY = "tokens per second, the engine against others"
PROBES = 8
_PROMPT_TOKENS_MIN, _PROMPT_TOKENS_MAX = 16, 48
TARGETS = {1: 1.0, 32: 0.9}
"""Against transformers' `generate`, by streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one model is measured at one number of streams."""

    streams: int
    """Requests at the same time; rows of the others' batch."""
    tokens: int
    """Tokens for each."""
    rounds: int
    """Pairs that are kept."""
    seconds: float
    """Expected length."""


def contest(subject: Callable[[], Subject], name: str, plan: Plan) -> Contest:
    """The engine, `generate`, the bridge's `generate`, and the engine again."""
    return Contest(
        name=f"throughput, {name}, {plan.streams} streams",
        prepare=partial(_prepare, subject, plan),
        rows=partial(_rows, name, plan),
        rounds=plan.rounds,
        seconds=plan.seconds,
    )


def _prepare(subject: Callable[[], Subject], plan: Plan, stack: ExitStack) -> Sides:
    model = subject()
    span = _PROMPT_TOKENS_MAX - _PROMPT_TOKENS_MIN
    lengths = [_PROMPT_TOKENS_MAX - i * 7 % span for i in range(plan.streams)]
    prompts = model.prompts(lengths)
    driver, second = drive(stack, watched(model, PROBES)), drive(stack, watched(model, PROBES))
    plain, bridged = model.twin().model, bridge_of(model, stack)
    return {
        "engine": partial(_engine, driver, prompts, plan.tokens),
        "generate": partial(generate, plain, prompts, plan.tokens),
        "bridge": partial(_bridge_generate, bridged, prompts, plan.tokens),
        "engine again": partial(_engine, second, prompts, plan.tokens),
    }


def _engine(driver: Driver, prompts: Prompts, tokens: int) -> Figures:
    return {"rate": driver.answers(prompts, tokens).tokens_per_second}


def generate(model: Any, prompts: Prompts, tokens: int) -> Figures:
    """Run transformers' `generate` over a static batch, for exactly so many tokens.

    Raises:
        WrongLength: it stopped before.
    """
    ids, mask = _padded(prompts)
    settings = GenerationConfig(
        max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    began = perf_counter()
    with torch.inference_mode():
        output = model.generate(ids, attention_mask=mask, generation_config=settings)
    return _rate("transformers generate", output, ids, tokens, perf_counter() - began)


def _bridge_generate(bridge: Any, prompts: Prompts, tokens: int) -> Figures:
    ids, mask = _padded(prompts)
    began = perf_counter()
    with torch.inference_mode():
        output = bridge.generate(
            ids,
            max_new_tokens=tokens,
            do_sample=False,
            stop_at_eos=False,
            return_type="tokens",
            attention_mask=mask,
            verbose=False,
        )
    return _rate("TransformerBridge generate", output, ids, tokens, perf_counter() - began)


def bridge_of(model: Subject, stack: ExitStack) -> Any:
    twin = model.twin()
    # It loads the tokenizer once more, from where that says it came from.
    folder = stack.enter_context(TemporaryDirectory())
    twin.tokenizer.save_pretrained(folder)
    twin.tokenizer.init_kwargs["name_or_path"] = folder
    return TransformerBridge.boot_transformers(
        twin.provenance.path or "gpt2", hf_model=twin.model, tokenizer=twin.tokenizer, device="cpu"
    )


def _padded(prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, [rows, longest], padded on the left."""
    longest = max(map(len, prompts))
    ids = np.zeros((len(prompts), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def _rate(side: str, output: Any, ids: torch.Tensor, tokens: int, seconds: float) -> Figures:
    found = output.shape[1] - ids.shape[1]
    if found != tokens:
        raise WrongLength(side, tokens, found)
    return {"rate": len(ids) * tokens / seconds, "seconds": seconds}


def _rows(name: str, plan: Plan, samples: Samples) -> list[Row]:
    label = f"{name}, {plan.streams} stream{'s' * (plan.streams > 1)}"
    batch = "" if plan.streams == 1 else f", a static batch of {plan.streams}"

    def row(text: str, other: str, target: float | None, note: str) -> Row:
        return paired(
            text,
            column(samples, "engine", "rate"),
            column(samples, other, "rate"),
            family=FAMILY,
            unit="tokens/s",
            better="higher",
            target=target,
            note=note,
        )

    probes = f"ours scores under {PROBES} probes"
    return [
        row(f"{label}, transformers generate{batch}", "generate", TARGETS[plan.streams], probes),
        row(f"{label}, TransformerBridge generate{batch}", "bridge", None, probes),
        row(f"{AGAIN} {label}", "engine again", None, "identical code on both sides"),
    ]
