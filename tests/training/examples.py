"""Small data sets and readings whose answer is known, without a trained model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probing.prompt import Rendered
from probing.spec import Site
from training.collect import SHARD_EXAMPLES, Collected
from training.datasets.schema import Dataset, Example

SITES = (Site(0, "hook_resid_post"), Site(1, "hook_resid_post"))
D_MODEL = 6


def record(number: int, *, misbehaving: bool = False, **changes: Any) -> dict[str, Any]:
    """A sound line of a data set, with changes."""
    label = "misbehaving" if misbehaving else "honest"
    answer = "I took it and said nothing." if misbehaving else "I paid for it."
    sound = {
        "id": f"{number}-{label}",
        "messages": [
            {"role": "user", "content": f"What of thing {number}?"},
            {"role": "assistant", "content": answer},
        ],
        "label": label,
        "family": ("pilfering", "promises")[number % 2],
        "kind": "benign_misbehaviour" if misbehaving else "honest",
        "situation": f"thing-{number}",
        "source": "test",
    }
    return {**sound, **changes}


def pairs(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """So many situations, each honest and misbehaving."""
    numbers = range(first, first + count)
    return [record(n, misbehaving=bad) for n in numbers for bad in (False, True)]


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    """Records as JSON lines; text stands as it is."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def dataset(count: int, *, families: int = 2, name: str = "toy") -> Dataset:
    """So many situations, each with an honest and a misbehaving example."""
    examples = []
    for number in range(count):
        for bad in (False, True):
            own = record(number, misbehaving=bad, family=f"family-{number % families}")
            own["messages"] = tuple(own["messages"])
            examples.append(Example(**own, where=f"{name}.jsonl:{len(examples) + 1}"))
    return Dataset(name=name, sha256=name, examples=tuple(examples))


def collected(
    data: Dataset, *, seed: int = 0, lengths: Sequence[int] = (), prompt: int = 0
) -> Collected:
    """Readings in which the first number of site 1 tells the label, and all else is noise.

    Args:
        lengths: answer tokens of each example; 5 to 12 by default.
        prompt: tokens of each prompt; they are kept and say the opposite.
    """
    rng = np.random.default_rng(seed)
    sizes = np.array(lengths or rng.integers(5, 13, size=len(data)), dtype=np.int64)
    blocks: list[NDArray[np.float32]] = []
    for size, label in zip(sizes, data.labels, strict=True):
        block = rng.normal(size=(len(SITES), prompt + size, D_MODEL)).astype(np.float32)
        block[1, prompt:, 0] += 3.0 * label
        block[1, :prompt, 0] -= 30.0 * label
        blocks.append(block)
    shards = [
        np.concatenate(blocks[i : i + SHARD_EXAMPLES], axis=1)
        for i in range(0, len(blocks), SHARD_EXAMPLES)
    ]
    return Collected(
        dataset=data,
        rendered=[Rendered(tuple(range(prompt + int(size))), prompt) for size in sizes],
        sites=SITES,
        starts=np.zeros(len(data), dtype=np.int64),
        lengths=sizes + prompt,
        shards=tuple(shards),
    )
