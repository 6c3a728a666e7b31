"""Evaluate a published probe: section after section, into one JSON file.

A section that finds nothing to measure says what would be needed; one that is not asked
for is absent. The claim that matters is always measured, and first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from probes_store.ref import Ref
from probes_store.store import ProbeStore
from probing.errors import InvalidSpecification
from probing.model import LoadedModel
from training.collect import Collected, collect
from training.datasets.bundled import TrainingSets
from training.datasets.schema import Dataset
from training.errors import NoChampion, OtherData
from training.evaluation.claim import claim
from training.evaluation.controls import controls
from training.evaluation.cost import cost
from training.evaluation.delay import delay
from training.evaluation.efficiency import efficiency
from training.evaluation.generalisation import generalisation
from training.evaluation.regressions import regressions
from training.evaluation.replay import online_offline
from training.evaluation.stress import stress
from training.evaluation.subject import Json, Section, Subject, recipe_of
from training.evaluation.thresholds import thresholds_section

GATED = ("claim", "stress")
"""Sections in which a lower figure is a loss."""
FORMAT = 1
"""Raised when a reader of the old file would misread the new one."""
Measure = Callable[[Subject], Section]
SECTIONS: Mapping[str, Measure] = {
    "claim": claim,
    "generalisation": generalisation,
    "controls": controls,
    "stress": stress,
    "delay": delay,
    "thresholds": thresholds_section,
    "efficiency": efficiency,
    "cost": cost,
    "replay": online_offline,
}
"""By name, in the order in which they are measured and told."""


def ref_of(store: ProbeStore, text: str) -> Ref:
    """The version that is meant by `champion`, `name` or `name@3`.

    Raises:
        NoChampion: the store names none.
        InvalidReference, ProbeNotFound: it cannot be read, or is not there.
    """
    if text != "champion":
        return store.resolve(Ref.parse(text))
    named = store.alias("champion")
    if named is None:
        raise NoChampion(str(store.root))
    return named


def subject_of(
    store: ProbeStore,
    ref: Ref,
    loaded: LoadedModel,
    sets: TrainingSets,
    *,
    cache: Path,
    console: Console,
    seed: int = 0,
) -> Subject:
    """Everything that sections ask for, read from the store and the data.

    Raises:
        ReadingMismatch: the probe was trained on another model's readings.
        OtherData: the sets are not those that it was fitted on.
        RecipeUnknown: the version does not say how it was fitted.
    """
    artifact = store.load(ref)
    probe, manifest = artifact.probe, artifact.manifest
    probe.require(loaded.spec)
    known = {source.sha256 for source in manifest.training_data}
    if sets.fit.sha256 not in known:
        raise OtherData(str(ref), [d.name for d in manifest.training_data], sets.fit.name)

    def read(dataset: Dataset) -> Collected:
        whole = probe.span.reads_prompt
        return collect(loaded, dataset, probe.sites, cache=cache, console=console, whole=whole)

    return Subject(
        ref=ref,
        probe=probe,
        manifest=manifest,
        recipe=recipe_of(store, ref, probe, manifest),
        loaded=loaded,
        fitting=read(sets.fit),
        calibration=read(sets.calibration),
        tests=tuple(map(read, sets.tests)),
        cache=cache,
        console=console,
        seed=seed,
    )


def sections_of(names: Sequence[str], judge: Path | None) -> Mapping[str, Measure]:
    """The sections that are named, or all where none is, in their order.

    Args:
        judge: scores of a judge for the controls; see `training.evaluation.judge`.

    Raises:
        InvalidSpecification: there is no such section.
    """
    for name in names:
        if name not in SECTIONS:
            raise InvalidSpecification("section", name, f"one of {', '.join(SECTIONS)}")
    wanted = {name: part for name, part in SECTIONS.items() if name in names or not names}
    if judge is not None and "controls" in wanted:
        wanted["controls"] = partial(controls, judge=judge)
    return wanted


def measure(subject: Subject, wanted: Mapping[str, Measure]) -> Json:
    """The evaluation as it is written, each section told as it is found."""
    sections, seconds = {}, {}
    for name, section in wanted.items():
        began = time.perf_counter()
        found = section(subject)
        seconds[name] = round(time.perf_counter() - began, 1)
        sections[name] = found.as_json()
        tell(subject.console, found)
    return {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "subject": _about(subject),
        "sections": sections,
    }


def write(path: Path, evaluation: Json) -> None:
    """Put the file where it belongs, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n")


def read(path: Path) -> Json:
    """An evaluation that was written before.

    Raises:
        InvalidSpecification: it is not there, or is no such file.
    """
    try:
        evaluation: Json = json.loads(path.read_text("utf-8"))
        if evaluation["format"] != FORMAT:
            raise KeyError("format")
        return evaluation
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidSpecification("since", str(path), "a file that `evaluate` wrote") from error


def losses(now: Json, before: Json) -> list[str]:
    """What a version loses against another, anywhere that both were measured in the same way."""
    sections = (now["sections"], before["sections"])
    both = [name for name in GATED if all(name in found for found in sections)]
    return regressions(*({name: found[name]["figures"] for name in both} for found in sections))


def _about(subject: Subject) -> Json:
    manifest, recipe = subject.manifest, subject.recipe
    used = [("fitted", subject.fitting), ("calibrated", subject.calibration)]
    used += [("tested", test) for test in subject.tests]
    return {
        "probe": str(subject.ref),
        "digest": subject.probe.digest,
        "fingerprint": manifest.fingerprint,
        "model": asdict(manifest.provenance),
        "family": manifest.kind,
        "strength": recipe.strength,
        "sites": list(manifest.sites),
        "aggregator": manifest.aggregator,
        "tokens_min": manifest.tokens_min,
        "threshold": manifest.threshold,
        "calibration": asdict(manifest.calibration),
        "libraries": manifest.libraries,
        "parent": manifest.parent,
        "data": [
            {
                "name": collected.dataset.name,
                "sha256": collected.dataset.sha256,
                "examples": len(collected.dataset),
                "role": role,
            }
            for role, collected in used
        ],
    }


def tell(console: Console, section: Section) -> None:
    """Show a section to people."""
    console.print(f"\n[bold]{section.title}[/bold]")
    for sentence in section.findings[: 1 if section.table else None]:
        console.print(Padding(Text(sentence), (0, 0, 0, 2)))
    if section.table:
        console.print(section.table)
    for sentence in told_once(section.refusals):
        console.print(Padding(Text(f"not measured: {sentence}", "dim"), (0, 0, 0, 2)))


def told_once(refusals: Sequence[str]) -> Iterator[str]:
    """Refusals with the same reason as one: what is refused stands before the colon."""
    places: dict[str, list[str]] = {}
    for refusal in refusals:
        place, colon, reason = refusal.partition(": ")
        places.setdefault(reason if colon else refusal, []).extend([place] if colon else [])
    for reason, refused in places.items():
        yield f"{'; '.join(refused)}: {reason}" if refused else reason
