"""One token of every stream, scored in a loop or by the bank's products: the same numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from probing import step_bank
from probing.bank import ProbeBank
from probing.errors import ReadingShapeMismatch, SiteDidNotFire
from probing.probe import ProbeSet
from probing.spec import Site
from probing.step_bank import StepBank
from tests.probing.examples import SITE, probe

OTHER = Site(0, "hook_mlp_out")
CPU = torch.device("cpu")
LINEAR = (
    probe("a", sites=[SITE], seed=1),
    probe("b", sites=[OTHER, SITE], aggregator="tail_concat:3", seed=2),
    probe("c", sites=[OTHER], seed=3),
    probe("d", sites=[SITE], aggregator="attention:2", seed=4),
)
NETWORK = probe("e", sites=[SITE, OTHER], hidden=5, seed=5)


def readings(rows: int, d_model: int = 64, tokens: int = 1) -> dict[Site, Tensor]:
    torch.manual_seed(rows)
    return {site: torch.randn(rows, tokens, d_model) for site in (SITE, OTHER)}


@pytest.mark.parametrize("products_max", [0, step_bank.LOOP_PRODUCTS_MAX])
@pytest.mark.parametrize("probes", [LINEAR, (*LINEAR, NETWORK)], ids=["linear", "with a network"])
@pytest.mark.parametrize("rows", [1, 3])
def test_it_scores_what_the_bank_scores(
    monkeypatch: pytest.MonkeyPatch, products_max: int, probes: Sequence, rows: int
) -> None:
    monkeypatch.setattr(step_bank, "LOOP_PRODUCTS_MAX", products_max)
    probe_set, read = ProbeSet(tuple(probes)), readings(rows)

    scores = StepBank(probe_set, CPU).score(read, rows)

    assert (scores.dtype, scores.shape) == (np.float32, (rows, probe_set.channels))
    assert np.abs(scores - ProbeBank(probe_set).score(read)[:, 0].numpy()).max() < 1e-4


@pytest.mark.parametrize("products_max", [0, step_bank.LOOP_PRODUCTS_MAX])
def test_half_precision_is_widened_before_it_is_summed(
    monkeypatch: pytest.MonkeyPatch, products_max: int
) -> None:
    monkeypatch.setattr(step_bank, "LOOP_PRODUCTS_MAX", products_max)
    read = {site: reading.bfloat16() for site, reading in readings(2).items()}
    widened = {site: reading.float() for site, reading in read.items()}
    bank = StepBank(ProbeSet(LINEAR), CPU)

    assert np.abs(bank.score(read, 2) - bank.score(widened, 2)).max() < 1e-5


def test_a_reading_may_lie_scattered_in_memory() -> None:
    """Some models give a view of a larger tensor."""
    read = readings(2)
    scattered = {site: torch.stack([one, -one], dim=-1)[..., 0] for site, one in read.items()}
    bank = StepBank(ProbeSet(LINEAR), CPU)

    assert not scattered[SITE].is_contiguous()
    assert np.abs(bank.score(scattered, 2) - bank.score(read, 2)).max() < 1e-5


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 17, 63])
def test_a_reading_that_is_no_number_gives_no_number(poison: float, place: int) -> None:
    """Sums in any order must not turn it into one: the monitor would let it pass."""
    read = readings(3)
    read[SITE][1, 0, place] = poison

    scores = StepBank(ProbeSet(LINEAR), CPU).score(read, 3)

    reads_it = [SITE in one.sites for one in LINEAR]
    channels = [one.aggregator.channels for one in LINEAR]
    assert np.array_equal(~np.isfinite(scores[1]), np.repeat(reads_it, channels))
    assert np.isfinite(scores[[0, 2]]).all()


@pytest.mark.parametrize(
    "astray",
    [readings(3), readings(1), readings(2, tokens=2), readings(2, d_model=63)],
    ids=["more streams", "fewer streams", "two tokens", "another width"],
)
@pytest.mark.parametrize("products_max", [0, step_bank.LOOP_PRODUCTS_MAX])
def test_readings_of_another_shape_are_refused(
    monkeypatch: pytest.MonkeyPatch, products_max: int, astray: dict[Site, Tensor]
) -> None:
    """The loop would read beyond them, or another token's."""
    monkeypatch.setattr(step_bank, "LOOP_PRODUCTS_MAX", products_max)

    with pytest.raises(ReadingShapeMismatch, match=r"where \[2, 1, 64\] was expected"):
        StepBank(ProbeSet(LINEAR), CPU).score({**readings(2), SITE: astray[SITE]}, 2)


def test_readings_that_lack_a_site_are_refused() -> None:
    with pytest.raises(SiteDidNotFire, match=str(SITE)):
        StepBank(ProbeSet(LINEAR), CPU).score({OTHER: readings(1)[OTHER]}, 1)


def test_warmed_up_it_compiles_nothing_more() -> None:
    """The first answer would wait for it; each number of sites is compiled by itself."""
    sites = [Site(layer, "hook_attn_out") for layer in range(4)]
    bank = StepBank(ProbeSet((probe(sites=sites),)), CPU)
    before = _compiled()
    bank.warm_up()
    warm = _compiled()

    bank.score({site: torch.zeros(3, 1, 64) for site in sites}, 3)

    assert _compiled() == warm == before + 1


def _compiled() -> int:
    return len(step_bank._sums.signatures)  # type: ignore[attr-defined]
