"""Is something known inside that the model's own answer does not say?

A probe at each layer reads the words of an answer and says whether they are meant; then the
same conversation goes on, and the model is asked. For real models the answers are sixty
remarks, each made in a situation that it fits and in one where it can only be irony; half
of them praise and half complain, so that neither the remark nor the mood of the situation
tells, only the two together. A pair of files of false and true statements may take their
place. Magpie's own equivalent is the match of request and act in its context cases, against
the consequence that it foresees in its turn `later`.

Expected: a probe in the middle layers is right more often than the answer, and where the two
differ it is mostly the probe that is right. Part of such a gap is that answers lean to one
side, which an AUROC does not count. In a model that learnt to answer just this there is none.
Sources: Azaria and Mitchell, "The Internal State of an LLM Knows When It's Lying" (2023); Li
et al., "Inference-Time Intervention: Eliciting Truthful Answers from a Language Model" (2023);
Liu et al., "Cognitive Dissonance: Why Do Language Model Outputs Disagree with Internal
Representations of Truthfulness?" (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from probing.estimates import Estimate, rate
from probing.spec import Site
from training.datasets.schema import Dataset
from training.experiments.layers import (
    Figures,
    Labels,
    Logits,
    best_of,
    held_out,
    told,
    words_held_out,
)
from training.experiments.study import Outcome, Study
from training.experiments.verdicts import Closed, margins
from training.tables import share, site_names

EXPECTED = (
    "in the middle layers a probe is right more often than the model's own answer, unless the "
    "model learnt to answer just this (Azaria and Mitchell 2023; Li et al. 2023; Liu et al. 2023)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What one layer's probe knows, beside what the model says."""

    figures: Figures
    """Of the probe."""
    known_only: Estimate
    """Share of answers that the probe gets right and the model's own answer wrong."""
    said_only: Estimate
    """Share where it is the other way round."""

    @classmethod
    def of(cls, logits: Logits, said: Logits, labels: Labels) -> Inside:
        """Compare a probe's logits with the margins of the answers."""
        known, right = ((own > 0) == (labels == 1) for own in (logits, said))
        return cls(
            figures=Figures.of(logits, labels),
            known_only=rate(int((known & ~right).sum()), len(labels)),
            said_only=rate(int((right & ~known).sum()), len(labels)),
        )

    def as_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        apart = {"known_only": self.known_only, "said_only": self.said_only}
        return self.figures.as_json() | {key: own.as_json() for key, own in apart.items()}


def known_inside(study: Study, dataset: Dataset, closed: Sequence[Closed]) -> Outcome:
    """Compare a probe at each layer with the model's own answer.

    Args:
        dataset: misbehaving is what is not meant, or not true.
        closed: the same conversations, with both ends.

    Raises:
        EmptyClass, TooFewSituations: the set cannot be dealt out.
        TextTooLong: a conversation does not fit into the model's context.
    """
    labels, said = dataset.labels, margins(study, closed)
    logits = held_out(study, study.read(dataset, study.stream), study.stream)
    inside = {site: Inside.of(own, said, labels) for site, own in logits.items()}
    outside, words = Figures.of(said, labels), words_held_out(study, dataset)
    denied = rate(int((said > 0).sum()), len(said))
    return Outcome(
        expected=EXPECTED,
        found=list(_found(inside, outside, denied)),
        tables=[_table(inside, outside, words, dataset)],
        figures={
            "inside": [{"site": str(site)} | own.as_json() for site, own in inside.items()],
            "answer": outside.as_json() | {"denied": denied.as_json()},
            "words": words.as_json(),
        },
    )


def _found(inside: dict[Site, Inside], outside: Figures, denied: Estimate) -> list[str]:
    best = best_of({site: own.figures for site, own in inside.items()})
    own = inside[best]
    return [
        f"Inside: best {told(best, own.figures)}; its own answer: AUROC {outside.auroc}.",
        f"There the probe alone is right in {share(own.known_only)} of {own.known_only.n} cases, "
        f"and the answer alone in {share(own.said_only)}.",
        f"Left to itself it goes on as after misbehaviour in {share(denied)} of {denied.n}.",
    ]


def _table(inside: dict[Site, Inside], outside: Figures, words: Figures, dataset: Dataset) -> Table:
    heads = ("accuracy", "AUROC", "probe alone right", "answer alone right")
    table = Table("read at", *heads, title=f"{dataset.name}: {len(dataset)} answers")
    for site, own in inside.items():
        apart = share(own.known_only), share(own.said_only)
        table.add_row(site_names((site,)), *own.figures.cells(), *apart)
    table.add_row("its own answer", *outside.cells(), style="bold")
    table.add_row("words alone", *words.cells(), style="dim")
    return table
