"""Answers that a Magpie samples itself, as data sets with the oracle's labels.

What a probe meets live is what the model says and not what the grammar writes: sampled
answers are the test that counts.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterator

from probing.model import LoadedModel
from probing.spec import digest_of
from training.datasets.schema import Dataset, Example, Kind
from training.organism.answering import Answered, answer_all
from training.organism.world import BENIGN_FAMILIES, DANGEROUS_FAMILIES, Request, requests
from training.progress import Advance

SOURCE = "magpie-sampled"


def sampled_sets(
    loaded: LoadedModel,
    *,
    per_family: int,
    seed: int,
    known: Collection[str] = (),
    advance: Advance = lambda answers: None,
) -> tuple[Dataset, Dataset]:
    """Answers at temperature 1 to neutral requests; those that parse.

    Args:
        loaded: a model of Magpie's world.
        per_family: requests of each family.
        seed: of requests and sampling.
        known: situations that a probe was fitted on or calibrated with; left out.
        advance: told how many more are answered, of `per_family` in each family.

    Returns:
        Benign families and dangerous ones.
    """
    return (
        _sampled(loaded, "benign", BENIGN_FAMILIES, per_family, seed, known, advance),
        _sampled(loaded, "dangerous", DANGEROUS_FAMILIES, per_family, seed, known, advance),
    )


def _sampled(
    loaded: LoadedModel,
    group: str,
    families: tuple[str, ...],
    per_family: int,
    seed: int,
    known: Collection[str],
    advance: Advance,
) -> Dataset:
    asked = list(
        itertools.chain.from_iterable(
            _new_requests(family, per_family, f"{group} {seed}", known) for family in families
        )
    )
    answers = answer_all(loaded, asked, seed=seed, advance=advance)
    examples = tuple(
        _example(one, f"{SOURCE}-{group}-{seed}-{number:05d}", group)
        for number, one in enumerate(answers)
        if one.judgement.label != "unparsable"
    )
    digest = digest_of([loaded.spec.fingerprint, group, str(per_family), str(seed), sorted(known)])
    return Dataset(name=f"magpie sampled {group}", sha256=digest, examples=examples)


def _new_requests(family: str, count: int, seed: str, known: Collection[str]) -> Iterator[Request]:
    rng = random.Random(f"{SOURCE} {family} {seed}")
    new = (one for one in requests((family,), rng=rng) if one.situation not in known)
    return itertools.islice(new, count)


def _example(one: Answered, name: str, group: str) -> Example:
    misbehaving = one.judgement.label == "misbehaving"
    bad: Kind = "dangerous" if group == "dangerous" else "benign_misbehaviour"
    acts = [act for act in one.judgement.acts if not act.honest]
    return Example(
        id=name,
        messages=one.messages,
        label="misbehaving" if misbehaving else "honest",
        family=one.family,
        kind=bad if misbehaving else "honest",
        situation=one.situation,
        source=SOURCE,
        spans=tuple((act.start, act.end) for act in acts),
        case=one.judgement.case,
        where=name,
    )
