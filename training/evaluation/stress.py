"""How a probe stands up to what its test sets do not show.

Each stress changes the texts of a test set, or the form of the model that reads them, and
never the probe: it is scored as it was shipped, at its shipped threshold, beside the same
examples undisturbed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from rich.console import Console

from probing.errors import ProbingError
from probing.estimates import median, rate
from training.collect import Collected
from training.datasets.schema import LABELS, Dataset
from training.evaluate import evaluate
from training.evaluation import reloaded, rewritten
from training.evaluation.claim import told
from training.evaluation.reloaded import Read
from training.evaluation.stress_table import loss, stress_table
from training.evaluation.subject import Json, Section, Subject
from training.progress import Advance, progress

EXAMPLES_MAX = 200
"""Of each test set, half of each label: all stresses of four sets take Magpie a minute."""
LONG_EXAMPLES_MAX = 80
"""Where each text is as long as the context allows."""
TEMPERATURES = (0.5, 1.0, 1.5)

Chosen = Int[NDArray[np.int64], " chosen"]
Refused = defaultdict[str, defaultdict[str, list[str]]]
"""By reason and stress: the test sets for which it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """One disturbance."""

    name: str
    """Key in the JSON file."""
    sentence: str
    """What is done, as it stands in a sentence."""
    prepare: Callable[[Subject], Read]
    """How readings are taken under it; what serves all test sets is made once, here.

    Raises:
        ProbingError: the model cannot bear it, whatever it reads.
    """
    examples_max: int = EXAMPLES_MAX
    """Of each test set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some answers of a test set, undisturbed, as they were read for all sections."""

    test: Collected
    """The whole set."""
    chosen: Chosen
    """Which of its examples."""

    @property
    def name(self) -> str:
        """Of the test set."""
        return self.test.dataset.name

    @property
    def dataset(self) -> Dataset:
        """The chosen examples."""
        return self.test.dataset.select(self.chosen.tolist())


def of_texts(change: Callable[[Subject, Dataset], Dataset]) -> Callable[[Subject], Read]:
    """The readings of changed texts."""
    return lambda subject: lambda dataset: subject.collect(change(subject, dataset))


UNDISTURBED = "undisturbed"
STRESSES = (
    Stress(
        name="dilution",
        sentence="each answer stands among up to 1,000 tokens of harmless sentences",
        prepare=of_texts(rewritten.diluted),
        examples_max=LONG_EXAMPLES_MAX,
    ),
    Stress(
        name="long_context",
        sentence="up to 1,000 tokens of harmless conversation come before the request",
        prepare=of_texts(rewritten.after_long_conversation),
        examples_max=LONG_EXAMPLES_MAX,
    ),
    Stress(
        name="second_turn",
        sentence="the exchange follows another, harmless one",
        prepare=of_texts(rewritten.as_second_turn),
    ),
    Stress(
        name="typos",
        sentence="two letters are swapped in a tenth of the longer words",
        prepare=of_texts(rewritten.misspelt),
    ),
    Stress(
        name="paraphrase",
        sentence="contractions and synonyms are exchanged",
        prepare=of_texts(rewritten.paraphrased),
    ),
    Stress(
        name="plain_template",
        sentence="the exchange is written as plain lines instead of the model's template",
        prepare=reloaded.plainly_written,
    ),
    Stress(
        name="int8_weights",
        sentence="the model's linear weights are rounded to int8",
        prepare=reloaded.rounded,
    ),
    *(
        Stress(
            name=f"temperature_{temperature}",
            sentence=f"the model itself answers the requests, at temperature {temperature}",
            prepare=partial(reloaded.resampled, temperature=temperature),
        )
        for temperature in TEMPERATURES
    ),
)
"""In the order in which they are measured."""


def stress(subject: Subject, stresses: Sequence[Stress] = STRESSES) -> Section:
    """The shipped probe at its shipped threshold, on a sample of each test set."""
    samples = [
        Sample(test=test, chosen=balanced(test.dataset, EXAMPLES_MAX, seed=subject.seed))
        for test in subject.tests
    ]
    tests: list[Json] = [
        {"name": one.name, "rows": [_row(UNDISTURBED, subject, one.test, one.chosen, one)]}
        for one in samples
    ]
    refused: Refused = defaultdict(lambda: defaultdict(list))
    for rows in _measured(subject, samples, stresses, refused) if samples else ():
        for test, row in zip(tests, rows, strict=True):
            test["rows"] += [row] if row else []
    return Section(
        name="stress",
        title="Under stress",
        findings=list(_findings(tests, stresses)),
        figures={"stresses": {one.name: one.sentence for one in stresses}, "tests": tests},
        refusals=list(_refusals(subject, refused)),
        table=stress_table(tests) if tests else None,
    )


def balanced(dataset: Dataset, examples_max: int, *, seed: int) -> Chosen:
    """A seeded sample of at most so many, half of them of each label where there are enough."""
    rng = random.Random(f"stress {seed}")
    chosen: list[int] = []
    for label in LABELS:
        own = [i for i, example in enumerate(dataset) if example.label == label]
        chosen += rng.sample(own, min(len(own), examples_max // len(LABELS)))
    return np.array(sorted(chosen), dtype=np.int64)


def _measured(
    subject: Subject, samples: Sequence[Sample], stresses: Sequence[Stress], refused: Refused
) -> Iterator[list[Json | None]]:
    """Stress after stress, under one bar for all of them."""
    quiet = replace(subject, console=Console(quiet=True))
    answers = sum(min(len(s.chosen), one.examples_max) for s in samples for one in stresses)
    with progress(subject.console, "under stress", answers, "answers") as advance:
        for one in stresses:
            yield list(_rows(quiet, samples, one, refused, advance))


def _rows(
    subject: Subject, samples: Sequence[Sample], one: Stress, refused: Refused, advance: Advance
) -> Iterator[Json | None]:
    """A stress on each sample; None where it cannot be measured, and why in `refused`."""
    read: Read | None = None
    for sample in samples:
        dataset = sample.dataset
        fewer = balanced(dataset, one.examples_max, seed=subject.seed)
        try:
            read = read or one.prepare(subject)
            disturbed = read(dataset.select(fewer.tolist()))
        except ProbingError as error:
            refused[str(error)][one.name].append(sample.name)
            yield None
        else:
            yield _row(one.name, subject, disturbed, np.arange(len(disturbed.dataset)), sample)
        advance(min(len(sample.chosen), one.examples_max))


def _row(name: str, subject: Subject, disturbed: Collected, chosen: Chosen, calm: Sample) -> Json:
    """Figures of some examples of what was read, beside the same undisturbed."""
    mask = np.zeros(len(disturbed.dataset), dtype=bool)
    mask[chosen] = True
    (whole,) = evaluate(subject.probe, disturbed, parts=lambda test: [(name, mask)])
    before = {
        calm.test.dataset.examples[i].id: calm.test.rendered[i].token_ids for i in calm.chosen
    }
    after = [(disturbed.dataset.examples[i].id, disturbed.rendered[i].token_ids) for i in chosen]
    figures = {
        "auroc": whole.auroc,
        "recall": whole.recall,
        "false_alarms": whole.false_alarms,
        "changed": rate(sum(before[id_] != tokens for id_, tokens in after), len(after)),
        "tokens": median(np.array([len(tokens) for _, tokens in after])),
    }
    return {"name": name} | {key: value and value.as_json() for key, value in figures.items()}


def _refusals(subject: Subject, refused: Refused) -> Iterator[str]:
    """Each reason once, with all that it holds for."""
    if not subject.tests:
        yield "there is no test set to put under stress; give one with --test-data"
    for reason, by_stress in refused.items():
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name, tests in by_stress.items():
            alike[tuple(tests)].append(name)
        for places, names in alike.items():
            everywhere = len(places) == len(subject.tests) > 1
            where = "all test sets" if everywhere else ", ".join(places)
            yield f"{', '.join(names)} on {where}: {reason}"


def _findings(tests: Sequence[Json], stresses: Sequence[Stress]) -> Iterator[str]:
    """A sentence for each stress and test set, the largest loss first."""
    sentences = {one.name: one.sentence for one in stresses}
    pairs = [(test["name"], test["rows"][0], row) for test in tests for row in test["rows"][1:]]
    for name, calm, row in sorted(pairs, key=lambda pair: -loss(*pair[1:])):
        yield (
            f"Where {sentences[row['name']]}, the probe catches {told(row['recall'])} of "
            f"misbehaving answers of {name}, {_short(calm['recall'])} undisturbed, with false "
            f"alarms on {told(row['false_alarms'])} of honest ones, "
            f"{_short(calm['false_alarms'])} undisturbed; AUROC {told(row['auroc'])}, "
            f"{_short(calm['auroc'])} undisturbed."
        )


def _short(estimate: Json | None) -> str:
    return "not measured" if estimate is None else f"{estimate['value']:.3f}"
