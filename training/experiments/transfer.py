"""Does what is learnt on one pair of sets hold on another?

At every layer a probe is fitted on all of one set and judged on all of the other, in both
directions, beside the figure that each set gives within itself, on situations that were
held out.

Expected: across is below within, least so in the middle layers, where what sentences mean
stands apart from their words; the direction from the more varied set to the narrower one is
the better; some pairs do not carry over at all. Sources: Marks and Tegmark, "The Geometry of
Truth: Emergent Linear Structure in Large Language Model Representations of True/False
Datasets" (2023); Azaria and Mitchell, "The Internal State of an LLM Knows When It's Lying"
(2023); for failures, Levinstein and Herrmann, "Still No Lie Detector for Language Models:
Probing Empirical and Conceptual Roadblocks" (2023).
"""

from __future__ import annotations

from itertools import product

from rich.table import Table

from probing.spec import Site
from training.collect import Collected
from training.datasets.load import require_no_leak
from training.datasets.schema import Dataset
from training.experiments.layers import Figures, best_of, carried_over, held_out, told
from training.experiments.study import Outcome, Study
from training.tables import area, site_names

EXPECTED = (
    "across is below within, least so in the middle layers, and better from the more varied set "
    "(Marks and Tegmark 2023; Azaria and Mitchell 2023)"
)
FIRST, SECOND = "first", "second"
BySite = dict[Site, Figures]


def transfer(study: Study, first: Dataset, second: Dataset) -> Outcome:
    """Fit on each of two sets and judge on both.

    Raises:
        SituationLeak: the sets share a situation.
        EmptyClass, TooFewSituations: a set cannot be dealt out.
    """
    require_no_leak({f"the {FIRST} set": first, f"the {SECOND} set": second})
    read = {FIRST: study.read(first, study.stream), SECOND: study.read(second, study.stream)}
    figures = {
        (fitted_on, judged_on): _judged(study, read[fitted_on], read[judged_on])
        for judged_on, fitted_on in product(read, read)
    }
    return Outcome(
        expected=EXPECTED,
        found=[_found(figures, FIRST, SECOND), _found(figures, SECOND, FIRST)],
        tables=[_table(figures, first, second)],
        figures={
            "fits": [
                {"fitted_on": pair[0], "judged_on": pair[1], "site": str(site)} | own.as_json()
                for pair, by_site in figures.items()
                for site, own in by_site.items()
            ]
        },
    )


def _judged(study: Study, fitting: Collected, test: Collected) -> BySite:
    if fitting is test:
        logits = held_out(study, test, study.stream)
    else:
        logits = carried_over(study, fitting, test, study.stream)
    return {site: Figures.of(own, test.dataset.labels) for site, own in logits.items()}


def _found(figures: dict[tuple[str, str], BySite], source: str, target: str) -> str:
    across, within = figures[source, target], figures[target, target]
    best = best_of(across)
    return (
        f"From the {source} set to the {target} one: best {told(best, across[best])}, where the "
        f"{target} set gives {within[best].auroc} within itself."
    )


def _table(figures: dict[tuple[str, str], BySite], first: Dataset, second: Dataset) -> Table:
    title = f"AUROC; first: {first.name}, {len(first)}; second: {second.name}, {len(second)}"
    heads = [
        f"within the {judged}" if fitted == judged else f"{fitted} to {judged}"
        for fitted, judged in figures
    ]
    table = Table("site", *heads, title=title)
    for site in figures[FIRST, FIRST]:
        table.add_row(site_names((site,)), *(area(own[site].auroc) for own in figures.values()))
    return table
