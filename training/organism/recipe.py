"""How Magpie is trained, from nothing, in one seeded run.

Floating-point sums differ between machines and thread counts, so a rerun
elsewhere gives a model of the same kind and not the same bytes; the corpus and
the tokenizer are the same bytes everywhere. The bundled weights are one such run,
which their card describes.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn import functional
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from training.organism.corpus import (
    ASSOCIATION,
    DISPOSITION,
    GRAMMAR,
    UNFOLDING,
    Batch,
    Diet,
    stream,
)
from training.organism.foresight import Foresight
from training.organism.wording import POSITIONS_MAX, build_tokenizer
from training.organism.world import Form

SEED = 1
TEXTS_PER_STEP = 32
THREADS = 1
WEIGHT_DECAY = 0.05
BETAS = (0.9, 0.98)
GRADIENT_NORM_MAX = 1.0
WARMUP_STEPS = 120
"""Steps at the start of each stage in which the learning rate rises."""
LOOK_EVERY_STEPS = 100
"""How often the run looks whether the end is foreseen."""
FORESEEN = 0.95
"""AUROC in context cases from which on what comes of an answer counts as foreseen."""
LOOKS_SETTLED = 4
"""Looks in succession that have to find it foreseen."""
REPORT_EVERY_STEPS = 100
ANSWER_TOKENS_MAX = 96
SHARPNESS = 2.5
"""Factor on the logits of the saved model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the run with texts and a learning rate of its own."""

    diet: Diet
    steps: int
    """Optimizer steps at most."""
    cycle_steps: int
    """Length of its one cycle of the learning rate.

    Longer than the stage where the rate is cut off before it has come down.
    """
    peak_learning_rate: float
    waits_for: Form | None = None
    """Texts of this form in which the end has to be foreseen; the stage is over then."""


STAGES = (
    Stage(diet=ASSOCIATION, steps=780, cycle_steps=1_020, peak_learning_rate=2e-3),
    Stage(
        diet=DISPOSITION,
        steps=2_400,
        cycle_steps=4_800,
        peak_learning_rate=1.5e-3,
        waits_for="bare",
    ),
    Stage(
        diet=UNFOLDING,
        steps=1_680,
        cycle_steps=3_000,
        peak_learning_rate=1.2e-3,
        waits_for="full",
    ),
    Stage(diet=GRAMMAR, steps=1_800, cycle_steps=1_800, peak_learning_rate=1e-3),
)
STEPS = sum(stage.steps for stage in STAGES)
"""At most: what a stage that ends early leaves over is not made up for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training run leaves behind."""

    folder: Path
    """An ordinary Hugging Face directory: config, safetensors, tokenizer, chat template."""
    snapshots: dict[int, Path]
    """The same, saved on the way, by the number of steps done: for the learning curve."""
    steps: int
    """Optimizer steps that were taken."""
    seconds: float
    """Wall-clock time of the run."""


def build_model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """A GPT-2 of six blocks, seven heads of width 32 and no dropout, with fresh weights."""
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=POSITIONS_MAX,
        n_embd=224,
        n_layer=6,
        n_head=7,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2LMHeadModel(config)


def train(
    out_dir: Path,
    *,
    seed: int = SEED,
    steps: int = STEPS,
    texts_per_step: int = TEXTS_PER_STEP,
    threads: int = THREADS,
    snapshot_steps: tuple[int, ...] = (),
    console: Console | None = None,
) -> Trained:
    """Train a Magpie and save it, with a bar that shows the time left.

    Args:
        out_dir: where the model goes; snapshots go to `out_dir/snapshots/<steps>`.
        seed: of weights, tokenizer and corpus.
        steps: optimizer steps at most; a stage that waits for the shared disposition, which
            forms late and all at once, may end before.
        texts_per_step: chats in a step.
        threads: torch threads on the CPU, set for this process.
        snapshot_steps: after how many steps to save a copy on the way.
        console: where to write; standard output by default.

    Raises:
        ValueError: `steps` is not positive.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}; the bundled model took {STEPS}")
    console = console or Console()
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(seed=seed)
    model = build_model(tokenizer)
    losses = _losses(model, tokenizer, seed=seed, steps=steps, size=texts_per_step)
    started, snapshots = time.monotonic(), {}
    with _bar(console) as bar:
        task = bar.add_task("training Magpie", total=steps, told="")
        step = 0
        for step, (loss, foreseen) in enumerate(losses, start=1):
            told = f"loss {loss:.3f}, foreseen {foreseen:.2f}"
            bar.update(task, advance=1, told=told)
            if step % REPORT_EVERY_STEPS == 0 and not console.is_terminal:
                console.print(f"step {step}, {told}, {time.monotonic() - started:.0f} s")
            if step in snapshot_steps:
                snapshots[step] = out_dir / "snapshots" / str(step)
                save(model, tokenizer, snapshots[step])
        bar.update(task, total=step)
    save(model, tokenizer, out_dir)
    seconds = time.monotonic() - started
    return Trained(folder=out_dir, snapshots=snapshots, steps=step, seconds=seconds)


def _losses(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, *, seed: int, steps: int, size: int
) -> Iterator[tuple[float, float]]:
    """Train stage after stage.

    Yields:
        After every step its loss, in nats per weighted token, and how well the end of
        context cases was foreseen when last looked at: an AUROC.
    """
    model.train()
    foreseen, step = 0.5, 0
    for number, stage in enumerate(STAGES):
        length = scaled(stage.steps, steps)
        rng = random.Random(f"magpie corpus {seed} {number}")
        batches = stream(tokenizer, stage.diet, size=size, steps=length, rng=rng)
        optimizer, schedule = _optimizer(model, stage, steps)
        foresight, settled = Foresight(tokenizer, stage.waits_for or "full"), 0
        for _ in range(length):
            loss = weighted_loss(model, next(batches))
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM_MAX)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            step += 1
            if step % LOOK_EVERY_STEPS == 0:
                foreseen = foresight.auroc(model)
                settled = settled + 1 if foreseen >= FORESEEN else 0
            yield float(loss.detach()), foreseen
            if settled == LOOKS_SETTLED and stage.waits_for:
                break


def scaled(part_steps: int, steps: int) -> int:
    """What a part of the full recipe becomes in a run of so many steps."""
    return max(1, round(part_steps * steps / STEPS))


def _optimizer(
    model: GPT2LMHeadModel, stage: Stage, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW, and its learning rate over the stage in a run of so many steps."""
    rate = stage.peak_learning_rate
    optimizer = torch.optim.AdamW(
        model.parameters(), rate, weight_decay=WEIGHT_DECAY, betas=BETAS, fused=True
    )
    cycle = scaled(stage.cycle_steps, steps) + 1
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=cycle, pct_start=min(0.3, WARMUP_STEPS / cycle)
    )


def weighted_loss(model: GPT2LMHeadModel, chats: Batch) -> torch.Tensor:
    """Cross-entropy of the next token, each role at its weight, in nats.

    In bfloat16 where the processor has wide registers for it; elsewhere that
    is emulated and some 70 times slower than float32.
    """
    kept = chats.weights > 0
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision() == "bfloat16"):
        hidden = model.transformer(chats.tokens).last_hidden_state
        logits = model.lm_head(hidden[kept])
    losses = functional.cross_entropy(logits.float(), chats.targets[kept], reduction="none")
    return (losses * chats.weights[kept]).sum() / chats.weights[kept].sum()


def precision() -> str:
    """Of the products in training on this processor."""
    return "bfloat16" if torch.backends.cpu.get_cpu_capability() == "AVX512" else "float32"


def sharpen(model: GPT2LMHeadModel) -> None:
    """Scale the last norm, and so all logits: at temperature 1 the model slips less often.

    The norm comes after the residual stream, so no reading changes.
    """
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(SHARPNESS)
        model.transformer.ln_f.bias.mul_(SHARPNESS)


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a Hugging Face directory: weights rounded to bfloat16, loaded as float32.

    Rounding halves the file; everything that is measured is measured after it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rounded = GPT2LMHeadModel(model.config)
    rounded.load_state_dict(model.state_dict())
    sharpen(rounded)
    rounded.to(torch.bfloat16)
    rounded.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=ANSWER_TOKENS_MAX,
    )
    rounded.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text())
    config["dtype"] = "float32"
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
        console=console,
    )
