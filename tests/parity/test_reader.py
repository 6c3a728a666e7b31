"""The same text gives the same readings, however it is fed; each known trap is pinned.

Two things are certain here: what equals what, to a hundred-thousandth of the largest
reading, and that what we refuse or avoid would have differed by a thousandth or more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from probing.errors import LeftPaddedWithoutPositions, UnknownSite
from probing.model import LoadedModel
from probing.prompt import Rendered
from probing.reader import Inputs, Reader, Readings, read_exchanges
from probing.spec import Site
from tests.models import SHAPES

Tiny = Callable[[str], LoadedModel]

REAL = ("tinytalk-3m", "stories260k")
SAME, OTHERWISE = 1e-5, 1e-3
OLDER = ("GPT2LMHeadModel", "GPTNeoForCausalLM")
"""Learned positions and LayerNorm; the others here have rotary positions and RMSNorm."""

TEXT = tuple((7 * i + 3) % 250 for i in range(40))
OTHER = tuple((11 * i + 5) % 250 for i in range(23))
PAD = len(TEXT) - len(OTHER)
LEFT = torch.tensor([TEXT, (0,) * PAD + OTHER])
LEFT_MASK = torch.tensor([(1,) * len(TEXT), (0,) * PAD + (1,) * len(OTHER)])


@pytest.fixture(params=[*SHAPES, *REAL])
def subject(request: pytest.FixtureRequest) -> LoadedModel:
    """Each shape in miniature, and each real model of the asset folder."""
    loaded: LoadedModel = request.getfixturevalue("tiny" if request.param in SHAPES else "real")(
        request.param
    )
    return loaded


def read(reader: Reader, ids: Sequence[int]) -> Readings:
    return reader.forward(Inputs(input_ids=torch.tensor([ids]))).readings


def read_alone(loaded: LoadedModel, ids: Sequence[int]) -> Readings:
    """Every site, from one prefill and nothing else."""
    with Reader(loaded, loaded.sites.all_sites()) as reader:
        return read(reader, ids)


def own_states(loaded: LoadedModel, ids: Tensor, **inputs: Any) -> tuple[Tensor, ...]:
    """What the model says of itself, without a hook of ours."""
    with torch.inference_mode():
        states: tuple[Tensor, ...] = loaded.model(
            ids, output_hidden_states=True, **inputs
        ).hidden_states
    return states


def off(found: Tensor, expected: Tensor) -> float:
    """Largest difference, as a share of the largest expected reading."""
    return float((found - expected).abs().max() / expected.abs().max())


def test_stream_sites_are_the_models_own_hidden_states(subject: LoadedModel) -> None:
    own = own_states(subject, torch.tensor([TEXT]))

    readings = read_alone(subject, TEXT)

    for layer in range(subject.n_layers):
        assert off(readings[Site(layer, "hook_resid_pre")], own[layer]) < SAME
    for layer in range(subject.n_layers - 1):
        assert off(readings[Site(layer, "hook_resid_post")], own[layer + 1]) < SAME


def test_the_last_hidden_state_is_not_the_last_blocks_output(subject: LoadedModel) -> None:
    """It is after the final norm: the largest of the traps, a hundred times the readings."""
    base = subject.model.base_model
    final_norm = base.ln_f if hasattr(base, "ln_f") else base.norm
    last = own_states(subject, torch.tensor([TEXT]))[-1]

    post = read_alone(subject, TEXT)[Site(subject.n_layers - 1, "hook_resid_post")]

    with torch.inference_mode():
        assert off(final_norm(post), last) < SAME
    assert off(post, last) > OTHERWISE


def test_what_the_sublayers_add_is_what_the_stream_gains(subject: LoadedModel) -> None:
    """On Gemma-2 the attention module's output is not what is added; its second norm's is."""
    r = read_alone(subject, TEXT)

    for layer in range(subject.n_layers):
        pre, mid = r[Site(layer, "hook_resid_pre")], r[Site(layer, "hook_resid_mid")]
        attention, mlp = r[Site(layer, "hook_attn_out")], r[Site(layer, "hook_mlp_out")]
        assert off(pre + attention, mid) < SAME
        assert off(mid + mlp, r[Site(layer, "hook_resid_post")]) < SAME
        assert off(pre, mid) > OTHERWISE, "attention adds something"
        assert off(mid, r[Site(layer, "hook_resid_post")]) > OTHERWISE, "the MLP adds something"


@pytest.mark.parametrize("chunks", [(), (1, 9, 17)], ids=["token by token", "in chunks first"])
def test_decoding_with_a_cache_reads_what_prefill_reads(
    subject: LoadedModel, chunks: tuple[int, ...]
) -> None:
    """Also across the sliding windows of 16 tokens that two of the shapes have."""
    cuts = [0, *chunks, *range(1 + max(chunks, default=0), len(TEXT) + 1)]
    cache = DynamicCache(config=subject.model.config)
    sites = subject.sites.all_sites()
    with Reader(subject, sites) as reader:
        steps = [
            reader.forward(
                Inputs(
                    input_ids=torch.tensor([TEXT[start:stop]]),
                    attention_mask=torch.ones(1, stop, dtype=torch.long),
                    position_ids=torch.arange(start, stop)[None],
                    cache=cache,
                )
            ).readings
            for start, stop in pairwise(cuts)
        ]

    whole = read_alone(subject, TEXT)

    for site in sites:
        assert off(torch.cat([step[site] for step in steps], dim=1), whole[site]) < SAME


def test_right_padding_with_a_mask_changes_nothing(subject: LoadedModel) -> None:
    ids = torch.tensor([TEXT, OTHER + (0,) * PAD])
    sites = subject.sites.all_sites()
    with Reader(subject, sites) as reader:
        together = reader.forward(Inputs(input_ids=ids, attention_mask=LEFT_MASK.flip(1))).readings

    alone = read_alone(subject, OTHER)

    for site in sites:
        assert off(together[site][1, : len(OTHER)], alone[site][0]) < SAME


def test_left_padding_with_mask_and_positions_changes_nothing(subject: LoadedModel) -> None:
    positions = (LEFT_MASK.cumsum(1) - 1).clamp(min=0)
    sites = subject.sites.all_sites()
    with Reader(subject, sites) as reader:
        together = reader.forward(
            Inputs(input_ids=LEFT, attention_mask=LEFT_MASK, position_ids=positions)
        ).readings

    alone = read_alone(subject, OTHER)

    for site in sites:
        assert off(together[site][1, PAD:], alone[site][0]) < SAME


def test_decoding_behind_left_padding_reads_what_is_read_alone(subject: LoadedModel) -> None:
    """As a batch is served: the mask covers the cache too, or the padding in it is looked at."""
    positions = (LEFT_MASK.cumsum(1) - 1).clamp(min=0)
    cache, ready = DynamicCache(config=subject.model.config), PAD + 5
    cuts = [0, *range(ready, len(TEXT) + 1)]
    sites = subject.sites.all_sites()
    with Reader(subject, sites) as reader:
        steps = [
            reader.forward(
                Inputs(
                    input_ids=LEFT[:, start:stop],
                    attention_mask=LEFT_MASK[:, :stop],
                    position_ids=positions[:, start:stop],
                    cache=cache,
                )
            ).readings
            for start, stop in pairwise(cuts)
        ]

    alone = read_alone(subject, OTHER)

    for site in sites:
        together = torch.cat([step[site] for step in steps], dim=1)
        assert off(together[1, PAD:], alone[site][0]) < SAME


def test_a_left_padded_batch_without_positions_is_refused(subject: LoadedModel) -> None:
    inputs = Inputs(input_ids=LEFT, attention_mask=LEFT_MASK)

    with Reader(subject, [Site(0, "hook_resid_post")]) as reader:  # noqa: SIM117
        with pytest.raises(LeftPaddedWithoutPositions, match="row 1"):
            reader.forward(inputs)


def test_what_left_padding_without_positions_would_read(subject: LoadedModel) -> None:
    """Why it is refused: a learned position is added to every token, and each would be wrong.

    Rotary positions only count distances and forgive it. It is refused there too: which
    kind a model has is not for the caller to know.
    """
    padded = own_states(subject, LEFT, attention_mask=LEFT_MASK)
    alone = own_states(subject, torch.tensor([OTHER]))

    found = off(padded[-2][1, PAD:], alone[-2][0])

    assert found > 0.1 if subject.sites.architecture in OLDER else found < SAME


def test_exchanges_read_together_are_read_as_alone(subject: LoadedModel) -> None:
    """Without a mask: what a batch holds and how long its rows are must not matter."""
    sites = subject.sites.all_sites()
    exchanges = [Rendered(TEXT, 5), Rendered(OTHER, 2), Rendered(TEXT[:9], 1), Rendered(OTHER, 2)]
    with Reader(subject, sites) as reader:
        batch = [(i, dict(r)) for i, r in read_exchanges(reader, exchanges, tokens_max=120)]

    assert sorted(i for i, _ in batch) == [0, 1, 2, 3]
    for i, together in batch:
        alone = read_alone(subject, exchanges[i].token_ids)
        assert all(off(together[site], alone[site][0]) < SAME for site in sites)


def test_feeding_the_whole_text_again_with_its_cache_reads_other_numbers(
    subject: LoadedModel,
) -> None:
    """The trap is real on every shape: same tokens, same shapes, no error."""
    cache = DynamicCache(config=subject.model.config)
    ids = torch.tensor([TEXT])

    once = own_states(subject, ids, past_key_values=cache)[-2]
    again = own_states(subject, ids, past_key_values=cache)[-2]

    assert off(once, own_states(subject, ids)[-2]) < SAME
    assert off(again, once) > OTHERWISE


def test_parallel_blocks_refuse_resid_mid(tiny: Tiny) -> None:
    loaded = tiny("gpt_neox")

    with pytest.raises(UnknownSite, match="parallel"):
        Reader(loaded, [Site(0, "hook_resid_mid")])


def bridge_of(loaded: LoadedModel, folder: Path) -> Any:
    """The same weights under TransformerLens, an independent reading of them."""
    from transformer_lens.model_bridge import TransformerBridge

    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu")


def test_every_site_reads_like_transformer_lens(subject: LoadedModel, tmp_path: Path) -> None:
    bridge = bridge_of(subject, tmp_path)
    with torch.inference_mode():
        _, theirs = bridge.run_with_cache(torch.tensor([TEXT]))

    ours = read_alone(subject, TEXT)

    assert all(off(ours[site], theirs[str(site)]) < SAME for site in ours)


def test_what_folded_weights_would_read(subject: LoadedModel, tmp_path: Path) -> None:
    """Why weights stay raw: compatibility mode centres what is written into the stream.

    It does so before a LayerNorm, which subtracts the mean anyway. An RMSNorm does not,
    so there only what reads the stream is folded and its numbers stay.
    """
    bridge = bridge_of(subject, tmp_path)
    bridge.enable_compatibility_mode()
    with torch.inference_mode():
        _, folded = bridge.run_with_cache(torch.tensor([TEXT]))

    ours = read_alone(subject, TEXT)

    older = subject.sites.architecture in OLDER
    for site, reading in ours.items():
        found = off(folded[str(site)], reading)
        assert found > OTHERWISE if older else found < SAME, site
