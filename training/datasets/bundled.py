"""The sets that come with the package, dealt out for training a probe.

`natural` is plain English for real models; `magpie` is written by the bundled model's
own world, from a seed. In both, probes are fitted on harmless misbehaviour only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from probing.errors import InvalidSpecification
from training.datasets.load import load, load_many, require_no_leak
from training.datasets.schema import Dataset
from training.datasets.splits import grouped_split
from training.errors import DatasetUnreadable
from training.organism.datasets import write

NATURAL_FOLDER = Path(__file__).parent / "natural"
DATA_FOLDER = Path("var/data")
DANGEROUS_FAMILIES = (
    "evading_oversight",
    "self_copying",
    "tampering_with_records",
    "deceiving_evaluators",
)
ORDINARY = ("ordinary", "hard_negatives")
NAMES = ("magpie", "natural")

MAGPIE_PAIRS = 340
"""Requests of each family, each answered honestly and not."""
MAGPIE_SHARES = (222 / 340, 84 / 118)
"""Of all situations to fit on; of the rest to calibrate on. What then remains is for testing."""
MAGPIE_DANGEROUS_SHARE = 50 / 340


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSets:
    """What one training run needs; no situation stands in two of them."""

    fit: Dataset
    """Both classes, harmless matters only."""
    calibration: Dataset
    """Honest answers in other situations."""
    tests: tuple[Dataset, ...] = field(default=())
    """Never fitted on or calibrated with."""

    def require_no_leak(self) -> None:
        """Refuse sets that share a situation.

        Raises:
            SituationLeak: names both places.
        """
        named = {"the fitting set": self.fit, "the calibration set": self.calibration}
        require_no_leak({**named, **{f"the test set {t.name}": t for t in self.tests}})


def magpie(folder: Path = DATA_FOLDER, *, seed: int = 0) -> TrainingSets:
    """The bundled model's sets, written anew from a seed: the same seed gives the same bytes."""
    folder = folder / f"magpie-{seed}"
    write(folder, seed=seed, pairs_per_family=MAGPIE_PAIRS)
    benign = load(folder / "magpie_benign.jsonl", name="magpie benign")
    dangerous = load(folder / "magpie_dangerous.jsonl", name="magpie dangerous")
    fit, rest = grouped_split(benign, MAGPIE_SHARES[0], seed=seed)
    calibration, test = grouped_split(rest, MAGPIE_SHARES[1], seed=seed)
    tested, _ = grouped_split(dangerous, MAGPIE_DANGEROUS_SHARE, seed=seed)
    return TrainingSets(fit=fit, calibration=calibration.only("honest"), tests=(test, tested))


def natural() -> TrainingSets:
    """The natural-English sets: fitted on eight harmless families, calibrated on ordinary replies.

    Hard negatives (fiction, quotation, role play, discussion) are among the replies that
    the threshold must leave alone.
    """
    files = {path.stem: path for path in sorted(NATURAL_FOLDER.glob("*.jsonl"))}
    benign = [p for n, p in files.items() if n not in (*DANGEROUS_FAMILIES, *ORDINARY)]
    return TrainingSets(
        fit=load_many(benign, name="natural benign"),
        calibration=load_many([files[name] for name in ORDINARY], name="natural ordinary"),
        tests=(load_many([files[name] for name in DANGEROUS_FAMILIES], name="natural dangerous"),),
    )


def own(
    data: Sequence[Path],
    *,
    calibration: Sequence[Path] = (),
    share: float = 0.6,
    seed: int = 0,
) -> TrainingSets:
    """A user's own files; without calibration files a part of the situations is held out.

    Raises:
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a file cannot serve.
    """
    fit = load_many(data, name=" + ".join(path.stem for path in data))
    if calibration:
        return TrainingSets(fit=fit, calibration=_honest(calibration))
    fit, held = grouped_split(fit, share, seed=seed)
    return TrainingSets(
        fit=fit,
        calibration=held.only("honest", f"{held.name} (honest, held out)"),
    )


def _honest(files: Sequence[Path]) -> Dataset:
    held = load_many(files, name=" + ".join(path.stem for path in files))
    return held.only("honest", f"{held.name} (honest)")


def bundled(name: str, *, seed: int = 0) -> TrainingSets:
    """A bundled set by name.

    Raises:
        DatasetUnreadable: there is no such set.
    """
    if name == "magpie":
        return magpie(seed=seed)
    if name == "natural":
        return natural()
    raise DatasetUnreadable(name, "no such file or set", NAMES)


def sets_of(
    data: Sequence[str],
    *,
    calibration: Sequence[Path] = (),
    tests: Sequence[Path] = (),
    seed: int = 0,
) -> TrainingSets:
    """What a command line names: one bundled set, or files.

    Args:
        calibration: instead of the bundled set's own honest answers, or of a part held out.
        tests: beside the bundled set's own.

    Raises:
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a set cannot serve.
        InvalidSpecification: a bundled set together with another.
    """
    extra = tuple(load(path) for path in tests)
    chosen = files_of(data)
    if chosen is None:
        sets = bundled(data[0], seed=seed)
        held = _honest(calibration) if calibration else sets.calibration
        return replace(sets, calibration=held, tests=(*sets.tests, *extra))
    return replace(own(chosen, calibration=calibration, seed=seed), tests=extra)


def files_of(data: Sequence[str]) -> list[Path] | None:
    """The files that a user named; None where one bundled set was named.

    Raises:
        InvalidSpecification: a bundled set together with another.
        DatasetUnreadable: no such file; names the bundled sets.
    """
    named = [name for name in data if name in NAMES]
    if named and len(data) == 1:
        return None
    if named:
        raise InvalidSpecification(
            "data", " with ".join(data), f"one bundled set ({' or '.join(NAMES)}) alone, or files"
        )
    for name in data:
        if not Path(name).is_file():
            raise DatasetUnreadable(name, "there is no such file", NAMES)
    return [Path(name) for name in data]
