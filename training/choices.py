"""What a command line says in words, as sites, grids and data sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from probing.aggregators import AggregatorSpec
from probing.errors import InvalidSpecification
from probing.model import BUNDLED, LoadedModel
from probing.spec import HOOKS, Hook, Site, Span
from training.datasets.bundled import TrainingSets, bundled, files_of, sets_of
from training.datasets.load import load_many, load_pair, require_no_leak
from training.datasets.schema import Dataset
from training.datasets.splits import grouped_split
from training.errors import OptionWithoutEffect
from training.families.table import probe_families
from training.sweep import Grid, Sites

LAYERS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


def parse_layers(text: str, layers: int) -> list[int]:
    """Read `all`, `3`, `0-5` or `0,2,4-6`.

    Raises:
        InvalidSpecification: another form, or a range that runs backwards.
    """
    if text == "all":
        return list(range(layers))
    if not LAYERS.fullmatch(text):
        raise InvalidSpecification("layers", text, "all, 3, 0-5 or 0,2,4-6")
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise InvalidSpecification("layers", text, "ranges from the lower to the higher layer")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def parse_hook(text: str) -> Hook:
    """Read `attn_out` or `hook_attn_out`.

    Raises:
        InvalidSpecification: no such hook.
    """
    for hook in HOOKS:
        if text in (hook, hook.removeprefix("hook_")):
            return hook
    names = ", ".join(hook.removeprefix("hook_") for hook in HOOKS)
    raise InvalidSpecification("hook", text, f"one of {names}")


def parse_sites(
    loaded: LoadedModel, *, sites: Iterable[str], hooks: Iterable[str], layers: str
) -> list[Site]:
    """The sites that are named, or else every asked hook at every asked layer.

    Raises:
        UnknownSite: the model does not have one of them.
        InvalidSpecification: a name cannot be read.
    """
    named = [Site.parse(name) for name in sites]
    if not named:
        numbers = parse_layers(layers, loaded.n_layers)
        named = [Site(layer, parse_hook(hook)) for hook in hooks for layer in numbers]
    for site in named:
        loaded.sites.require(site)
    return list(dict.fromkeys(named))


def grid_of(
    sites: Sequence[Site],
    *,
    stack: bool,
    families: Sequence[str],
    inverse_strengths: Sequence[float],
    aggregators: Sequence[str],
    span: str,
    tokens_min: Sequence[int],
) -> Grid:
    """What is to be compared.

    Args:
        stack: also try one probe that reads all sites together.
        families: names of probe families, or `all`.

    Raises:
        InvalidSpecification: a family, aggregator, span or number cannot be read.
    """
    if min(tokens_min, default=1) < 1:
        raise InvalidSpecification("tokens-min", str(min(tokens_min)), "a number of at least 1")
    together: tuple[Sites, ...] = tuple((site,) for site in sites)
    if stack and len(sites) > 1:
        together = (*together, tuple(sorted(sites)))
    return Grid(
        sites=together,
        families=probe_families(families),
        inverse_strengths=tuple(dict.fromkeys(inverse_strengths)),
        aggregators=tuple(dict.fromkeys(AggregatorSpec.parse(text) for text in aggregators)),
        span=Span.parse(span),
        tokens_min=tuple(dict.fromkeys(tokens_min)),
    )


def sets_for(
    model: str,
    *,
    data: Sequence[str],
    calibration: Sequence[Path] = (),
    tests: Sequence[Path] = (),
    seed: int = 0,
) -> TrainingSets:
    """The data that is named, or else the bundled set that goes with the model.

    Raises:
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a set cannot serve.
    """
    return sets_of(_named(model, data), calibration=calibration, tests=tests, seed=seed)


def fitting_set(model: str, data: Sequence[str], *, seed: int = 0) -> Dataset:
    """The data that is named, all of it, or else what the model's bundled set is fitted on.

    Raises:
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a set cannot serve.
    """
    named = _named(model, data)
    files = files_of(named)
    if files is None:
        return bundled(named[0], seed=seed).fit
    return load_many(files, name=" + ".join(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a sweep reads."""

    fit: Dataset
    """To fit on."""
    tests: tuple[Dataset, ...]
    """To test on, where one fit per site was asked for; none in a cross-validation."""


def parts_for(
    model: str,
    data: Sequence[str],
    *,
    train_on: tuple[Path, Path] | None,
    test_on: tuple[Path, Path] | None,
    split: float | None,
    seed: int,
) -> Parts:
    """What to fit on and what to test on: the rest of a split, another pair, or both.

    Raises:
        InvalidSpecification: `--data` with `--train-on`, or a split that leaves a side empty.
        SituationLeak: the other pair shares a situation with what was given to fit on.
        DatasetUnreadable, DatasetInvalid, EmptyClass, TooFewSituations: a set cannot serve.
    """
    if train_on is not None and data:
        raise InvalidSpecification("data", "--data with --train-on", "one of the two")
    if split is not None and not 0 < split < 1:
        raise InvalidSpecification("split", f"{split:g}", "a share between 0 and 1, such as 0.7")
    fitting = load_pair(*train_on) if train_on else fitting_set(model, data, seed=seed)
    tests: tuple[Dataset, ...] = ()
    if test_on is not None:
        tests = (load_pair(*test_on),)
        require_no_leak({"the fitting set": fitting, "the test set": tests[0]})
    if split is None:
        return Parts(fit=fitting, tests=tests)
    first, rest = grouped_split(fitting, split, seed=seed)
    return Parts(fit=first, tests=(replace(rest, name=f"{fitting.name}, held out"), *tests))


def require_effect(given: Mapping[str, bool], *, layerwise: bool) -> None:
    """Refuse options that the chosen kind of sweep would not look at.

    Args:
        given: whether each option without effect was given.
        layerwise: one fit per site, or else a cross-validation.

    Raises:
        OptionWithoutEffect: names the first.
    """
    where = (
        "with --split or --test-on, which fit each site once, by --pool"
        if layerwise
        else "without --split or --test-on; a cross-validation goes by --aggregator"
    )
    for option, there in given.items():
        if there:
            raise OptionWithoutEffect(option, where)


def _named(model: str, data: Sequence[str]) -> list[str]:
    return list(data) or ["magpie" if model == BUNDLED else "natural"]
