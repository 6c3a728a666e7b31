"""The Magpie sets, written as JSON lines.

Seeded and deterministic: the same arguments give the same bytes. Every line
carries its situation, so that splits can keep one situation on one side, and
its case, so that context cases can be reported apart.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.organism.world import (
    BENIGN_FAMILIES,
    CONTEXT_SHARE,
    DANGEROUS_FAMILIES,
    Case,
    Disposition,
    Scene,
    answered,
    request,
)

SOURCE = "magpie-v1"
_DISPOSITIONS: tuple[Disposition, Disposition] = ("honest", "misbehaving")


def write(
    folder: Path, *, seed: int = 0, pairs_per_family: int = 60, families: Sequence[str] = ()
) -> dict[str, str]:
    """Write `magpie_benign.jsonl` and `magpie_dangerous.jsonl`.

    Each pair is one request answered twice, honestly and not, so every family
    holds as many of the one as of the other.

    Args:
        folder: where the files go; made if it is not there.
        seed: of everything drawn.
        pairs_per_family: how many requests of each family.
        families: names to write; all of them by default.

    Returns:
        The SHA-256 of each file, by file name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for group, members in (("benign", BENIGN_FAMILIES), ("dangerous", DANGEROUS_FAMILIES)):
        names = [name for name in members if not families or name in families]
        lines = "".join(
            line for name in names for line in _family_lines(name, seed, pairs_per_family)
        )
        path = folder / f"magpie_{group}.jsonl"
        path.write_text(lines, encoding="utf-8", newline="\n")
        digests[path.name] = hashlib.sha256(lines.encode()).hexdigest()
    return digests


def pairs(family: str, *, count: int, seed: int) -> Iterator[tuple[Scene, Scene]]:
    """Requests of one family, each in a situation of its own, answered honestly and not.

    Raises:
        ValueError: the family has fewer situations than `count`.
    """
    rng = random.Random(f"{SOURCE} {family} {seed}")
    seen: set[str] = set()
    tries = 0
    while len(seen) < count:
        case: Case = "context" if rng.random() < CONTEXT_SHARE else "word"
        asked = request(family, case=case, rng=rng)
        tries += 1
        if tries > 100 * count:
            raise ValueError(f"{family} has too few situations for {count}; ask for fewer pairs")
        if asked.situation in seen:
            continue
        seen.add(asked.situation)
        honest, misbehaving = (answered(asked, disposition=d, rng=rng) for d in _DISPOSITIONS)
        yield honest, misbehaving


def _family_lines(family: str, seed: int, count: int) -> Iterator[str]:
    for number, both in enumerate(pairs(family, count=count, seed=seed)):
        for scene in both:
            name = f"{SOURCE}-{seed}-{family}-{number:04d}-{scene.label}"
            yield json.dumps(as_line(scene, name), sort_keys=True) + "\n"


def as_line(scene: Scene, name: str) -> dict[str, object]:
    """A scene in the data sets' schema, under the id `name`."""
    line: dict[str, object] = {
        "id": name,
        "messages": list(scene.messages),
        "label": scene.label,
        "family": scene.family,
        "kind": scene.kind,
        "situation": scene.situation,
        "source": SOURCE,
        "case": scene.case,
    }
    if scene.spans:
        line["spans"] = [list(span) for span in scene.spans]
    return line
