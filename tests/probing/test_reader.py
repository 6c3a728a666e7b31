"""Hooks are attached, counted and removed; the bank and the golden scores stand on them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from probing.bank import ProbeBank
from probing.errors import GoldenMismatch, SiteDidNotFire, SitesDoNotAdd
from probing.golden import Golden, check_golden, make_golden
from probing.model import LoadedModel, Tap
from probing.probe import ProbeSet
from probing.reader import Inputs, Reader
from probing.spec import Site
from tests.probing.examples import SITE, probe

Tiny = Callable[[str], LoadedModel]
IDS = torch.tensor([[5, 6, 7, 8], [9, 1, 2, 3]])


def hooks_of(loaded: LoadedModel) -> int:
    """All hooks on a model; transformers may have some of its own on it."""
    modules = loaded.model.modules()
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)


def test_no_hook_is_left_behind(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    before = hooks_of(loaded)
    with Reader(loaded, loaded.sites.all_sites()):
        within = hooks_of(loaded)

    assert within > before
    assert hooks_of(loaded) == before


def test_a_site_that_does_not_fire_is_an_error_and_never_a_zero(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    taps = dict(loaded.sites.taps)
    taps[SITE] = Tap(torch.nn.Identity(), "output")
    astray = replace(loaded, sites=replace(loaded.sites, taps=taps))

    with Reader(astray, [SITE]) as reader:  # noqa: SIM117
        with pytest.raises(SiteDidNotFire, match="0 times"):
            reader.forward(Inputs(input_ids=IDS))


@pytest.mark.parametrize("way", ["forward", "read"])
def test_a_site_that_fires_twice_is_an_error(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    loaded = tiny("gpt2")
    first, second, _ = loaded.model.transformer.h
    taps = dict(loaded.sites.taps)
    taps[SITE] = Tap(first.mlp.act, "output")
    monkeypatch.setitem(second.mlp._modules, "act", first.mlp.act)
    astray = replace(loaded, sites=replace(loaded.sites, taps=taps))

    with Reader(astray, [SITE]) as reader:  # noqa: SIM117
        with pytest.raises(SiteDidNotFire, match="2 times"):
            reader.forward(Inputs(input_ids=IDS)) if way == "forward" else reader.read(IDS)


def test_reading_alone_ends_behind_the_last_site_and_reads_the_same(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    runs: list[int] = []
    last = loaded.model.transformer.h[-1]
    handle = last.register_forward_hook(lambda *_: runs.append(1))
    site = Site(0, "hook_resid_post")
    try:
        with Reader(loaded, [site]) as reader:
            whole = reader.forward(Inputs(input_ids=IDS)).readings[site]
            runs.clear()
            read = [reader.read(IDS)[site] for _ in range(3)]
    finally:
        handle.remove()

    assert len(runs) == 1, "the first pass runs to its end, the others do not"
    assert all(torch.equal(one, whole) for one in read)


def test_a_sublayer_whose_output_is_not_what_enters_the_stream_is_refused(tiny: Tiny) -> None:
    """As on Gemma-2, if its second norm were overlooked: right shape, wrong numbers."""
    loaded = tiny("gemma2")
    site = Site(0, "hook_attn_out")
    taps = dict(loaded.sites.taps)
    taps[site] = Tap(loaded.model.model.layers[0].self_attn, "output")
    astray = replace(loaded, sites=replace(loaded.sites, taps=taps))

    with pytest.raises(SitesDoNotAdd):
        Reader(astray, [site]).__enter__()


@pytest.mark.parametrize("failure", ["does not add", "breaks"])
def test_a_reader_that_refuses_to_begin_leaves_no_hook_behind(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    """Left behind, a hook would keep every later reading of the model alive, unseen."""
    loaded = tiny("gemma2")
    attention = loaded.model.model.layers[0].self_attn
    taps = dict(loaded.sites.taps)
    if failure == "does not add":
        taps[Site(0, "hook_attn_out")] = Tap(attention, "output")
    else:
        monkeypatch.setattr(attention, "forward", lambda *args, **named: 1 / 0)
    astray = replace(loaded, sites=replace(loaded.sites, taps=taps))
    before = hooks_of(loaded)

    with pytest.raises((SitesDoNotAdd, ZeroDivisionError)):
        Reader(astray, astray.sites.all_sites()).__enter__()

    assert hooks_of(loaded) == before


def test_no_hook_is_left_behind_when_the_block_fails(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    before = hooks_of(loaded)

    with pytest.raises(KeyError), Reader(loaded, loaded.sites.all_sites()):
        raise KeyError

    assert hooks_of(loaded) == before


def test_a_reader_can_be_entered_again(tiny: Tiny) -> None:
    reader = Reader(tiny("gpt2"), [SITE])
    for _ in range(2):
        with reader:
            assert reader.forward(Inputs(input_ids=IDS)).readings[SITE].shape == (2, 4, 64)


def test_the_bank_scores_every_probe_as_it_would_alone(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    other = Site(0, "hook_mlp_out")
    probes = (
        probe("a", sites=[SITE], seed=1),
        probe("b", sites=[SITE, other], aggregator="tail_concat:3", seed=2),
        probe("c", sites=[other], seed=3),
        probe("d", sites=[SITE], seed=4),
        probe("e", sites=[SITE, other], hidden=5, seed=5),
        probe("f", sites=[SITE], aggregator="attention:2", hidden=7, seed=6),
        probe("g", sites=[other], seed=7),
    )
    probe_set = ProbeSet(probes)
    with Reader(loaded, probe_set.sites) as reader:
        readings = reader.forward(Inputs(input_ids=IDS)).readings

    scores = ProbeBank(probe_set).score(readings).numpy()

    for one, columns in zip(probes, probe_set.channel_slices(), strict=True):
        by_hand = one.bias + sum(
            readings[site].numpy() @ matrix.T for site, matrix in one.weights.items()
        )
        if one.readout is not None:
            by_hand = np.maximum(by_hand, 0) @ one.readout.weights.T + one.readout.bias
        assert np.abs(scores[..., columns] - by_hand).max() < 1e-4


def test_the_bank_refuses_readings_that_lack_a_site(tiny: Tiny) -> None:
    scorer = ProbeBank(ProbeSet((probe(),)))

    with pytest.raises(SiteDidNotFire, match=str(SITE)):
        scorer.score({Site(0, "hook_resid_pre"): torch.zeros(1, 64)})


def test_golden_scores_are_met_again_and_a_shifted_probe_is_refused(tiny: Tiny) -> None:
    one = probe()
    with Reader(tiny("gpt2"), one.sites) as reader:
        golden = make_golden(reader, one, [[1, 2, 3], [4, 5, 6, 7, 8]])

        assert check_golden(reader, one, golden, 1e-4) < 1e-5
        with pytest.raises(GoldenMismatch, match="do not serve"):
            check_golden(reader, replace(one, bias=one.bias + 0.01), golden, 1e-4)


@pytest.mark.parametrize(("share", "served"), [(1e-5, True), (1e-3, False)])
def test_the_golden_limit_is_a_share_of_the_largest_score(
    tiny: Tiny, share: float, served: bool
) -> None:
    """Absolute, it refuses a sound probe with large scores on any other machine."""
    one = probe()
    large = replace(one, weights={s: 300 * w for s, w in one.weights.items()})
    with Reader(tiny("gpt2"), one.sites) as reader:
        golden = make_golden(reader, large, [[1, 2, 3], [4, 5, 6, 7, 8]])
        shift = share * max(np.abs(own).max() for own in golden.scores)
        moved = replace(large, bias=large.bias + np.float32(shift))

        assert shift > 1e-4
        with nullcontext() if served else pytest.raises(GoldenMismatch):
            check_golden(reader, moved, golden, 1e-4)


def test_a_golden_score_that_is_not_a_number_is_refused(tiny: Tiny) -> None:
    one = probe()
    golden = Golden(((1, 2),), (np.full((2, 1), np.nan, np.float32),))

    with Reader(tiny("gpt2"), one.sites) as reader, pytest.raises(GoldenMismatch):
        check_golden(reader, one, golden, 1e-4)
