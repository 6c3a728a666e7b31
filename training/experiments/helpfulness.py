"""Where in a model is it readable that a reply does not help?

One probe at each block's attention output, MLP output and residual stream, judged on
situations that it was not fitted on. Natural English has 25 requests, each with a reply
that helps and one that shirks. In Magpie's context cases a request asks for one of two
outcomes, and the reply brings about that one or the other: no word of it tells which.

Expected: readable from the first blocks on where words tell, and only after some blocks
where request and reply have to be compared; the residual stream, which sums what was written
before, is not below the attention or MLP output of the same block, and no layer falls far
behind an earlier one. Sources: Alain and Bengio, "Understanding intermediate layers using
linear classifier probes" (2016); for traits of conduct, Zou et al., "Representation
Engineering: A Top-Down Approach to AI Transparency" (2023).
"""

from __future__ import annotations

from rich.table import Table

from probing.spec import HOOKS, Hook, Site
from training.datasets.schema import Dataset
from training.experiments.layers import Figures, best_of, held_out, told, words_held_out
from training.experiments.study import Outcome, Study
from training.tables import site_names

EXPECTED = (
    "readable early where words tell, later where request and reply must be compared; the "
    "residual stream is not below the attention and MLP output of its block "
    "(Alain and Bengio 2016; Zou et al. 2023)"
)
SUBLAYERS: tuple[Hook, ...] = ("hook_attn_out", "hook_mlp_out", "hook_resid_post")


def helpfulness(study: Study, dataset: Dataset) -> Outcome:
    """Sweep layers and sites over replies that help and replies that do not.

    Args:
        dataset: misbehaving is what does not help.

    Raises:
        EmptyClass, TooFewSituations: the set cannot be dealt out.
        UnknownSite: the model lacks a layer or a sublayer.
    """
    sites = study.sites(*SUBLAYERS)
    words = words_held_out(study, dataset)
    logits = held_out(study, study.read(dataset, sites), sites)
    figures = {site: Figures.of(own, dataset.labels) for site, own in logits.items()}
    return Outcome(
        expected=EXPECTED,
        found=list(_found(figures, words)),
        tables=[_table(figures, words, dataset)],
        figures={
            "sites": [{"site": str(s)} | own.as_json() for s, own in figures.items()],
            "words": words.as_json(),
        },
    )


def _found(figures: dict[Site, Figures], words: Figures) -> list[str]:
    sentences = [f"Words alone give AUROC {words.auroc}."]
    for hook in HOOKS:
        own = {site: f for site, f in figures.items() if site.hook == hook}
        if own:
            best, first = best_of(own), next(iter(own))
            name = hook.removeprefix("hook_")
            sentences.append(f"{name}: best {told(best, own[best])}; {told(first, own[first])}.")
    return sentences


def _table(figures: dict[Site, Figures], words: Figures, dataset: Dataset) -> Table:
    table = Table("site", "accuracy", "AUROC", title=f"{dataset.name}: {len(dataset)} replies")
    for site, own in figures.items():
        table.add_row(site_names((site,)), *own.cells())
    table.add_row("words alone", *words.cells(), style="dim")
    return table
