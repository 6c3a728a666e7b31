"""The same text gives the same readings, however it is fed; each known trap is pinned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from probing.errors import LeftPaddedWithoutPositions, UnknownSite
from probing.model import LoadedModel
from probing.prompt import Rendered
from probing.reader import Inputs, Reader, Readings, read_exchanges
from probing.spec import Site
from tests.models import SHAPES

Tiny = Callable[[str], LoadedModel]
shapes = pytest.mark.parametrize("shape", SHAPES)
TEXT = tuple((7 * i + 3) % 250 for i in range(40))
OTHER = tuple((11 * i + 5) % 250 for i in range(23))


def read(reader: Reader, ids: tuple[int, ...]) -> Readings:
    return reader.forward(Inputs(input_ids=torch.tensor([ids]))).readings


def largest(difference: torch.Tensor) -> float:
    return float(difference.abs().max())


@shapes
def test_resid_sites_are_the_models_own_hidden_states(tiny: Tiny, shape: str) -> None:
    loaded = tiny(shape)
    last = loaded.n_layers - 1
    sites = [Site(layer, "hook_resid_pre") for layer in range(loaded.n_layers)]
    with torch.inference_mode():
        own = loaded.model(torch.tensor([TEXT]), output_hidden_states=True).hidden_states

    with Reader(loaded, [*sites, Site(last, "hook_resid_post")]) as reader:
        readings = read(reader, TEXT)

    for site in sites:
        assert largest(readings[site] - own[site.layer]) < 1e-6
    final = readings[Site(last, "hook_resid_post")]
    assert largest(final - own[-1]) > 0.1, "hidden_states[-1] is after the final norm, not the site"


@shapes
def test_what_the_sublayers_add_is_what_the_stream_gains(tiny: Tiny, shape: str) -> None:
    """On Gemma-2 the attention module's output is not what is added; its second norm's is."""
    loaded = tiny(shape)
    with Reader(loaded, loaded.sites.all_sites()) as reader:
        r = read(reader, TEXT)

    for layer in range(loaded.n_layers):
        pre, mid = r[Site(layer, "hook_resid_pre")], r[Site(layer, "hook_resid_mid")]
        attention, mlp = r[Site(layer, "hook_attn_out")], r[Site(layer, "hook_mlp_out")]
        assert largest(pre + attention - mid) < 1e-5
        assert largest(mid + mlp - r[Site(layer, "hook_resid_post")]) < 1e-5


@shapes
def test_decoding_with_a_cache_reads_what_prefill_reads(tiny: Tiny, shape: str) -> None:
    loaded = tiny(shape)
    site = Site(loaded.n_layers - 1, "hook_resid_post")
    with Reader(loaded, [site]) as reader:
        whole = read(reader, TEXT)[site]
        cache = DynamicCache(config=loaded.model.config)
        steps = [
            reader.forward(
                Inputs(
                    input_ids=torch.tensor([[token]]),
                    attention_mask=torch.ones(1, position + 1, dtype=torch.long),
                    position_ids=torch.tensor([[position]]),
                    cache=cache,
                )
            ).readings[site]
            for position, token in enumerate(TEXT)
        ]

    assert largest(torch.cat(steps, dim=1) - whole) < 1e-5


@shapes
def test_left_padding_with_mask_and_positions_changes_nothing(tiny: Tiny, shape: str) -> None:
    loaded = tiny(shape)
    site = Site(loaded.n_layers - 1, "hook_resid_post")
    pad = len(TEXT) - len(OTHER)
    mask = torch.ones(2, len(TEXT), dtype=torch.long)
    mask[1, :pad] = 0
    batch = Inputs(
        input_ids=torch.tensor([TEXT, (0,) * pad + OTHER]),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
    )
    with Reader(loaded, [site]) as reader:
        together = reader.forward(batch).readings[site]
        alone = read(reader, OTHER)[site]

    assert largest(together[1, pad:] - alone[0]) < 1e-5


def test_a_left_padded_batch_without_positions_is_refused(tiny: Tiny) -> None:
    """It would read every token at a wrong place: off by 0.1 where readings are 0.03 large."""
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    inputs = Inputs(input_ids=torch.tensor([[1, 2, 3], [0, 2, 3]]), attention_mask=mask)

    with Reader(tiny("gpt2"), [Site(0, "hook_resid_post")]) as reader:  # noqa: SIM117
        with pytest.raises(LeftPaddedWithoutPositions, match="row 1"):
            reader.forward(inputs)


@shapes
def test_exchanges_read_together_are_read_as_alone(tiny: Tiny, shape: str) -> None:
    loaded = tiny(shape)
    site = Site(1, "hook_resid_mid")
    exchanges = [Rendered(TEXT, 5), Rendered(OTHER, 2), Rendered(TEXT[:9], 1)]
    with Reader(loaded, [site]) as reader:
        together = {i: r[site].clone() for i, r in read_exchanges(reader, exchanges)}
        alone = [read(reader, exchange.token_ids)[site][0] for exchange in exchanges]

    assert all(largest(together[i] - alone[i]) < 1e-5 for i in range(3))


@shapes
def test_feeding_the_whole_text_again_with_its_cache_is_seen_as_other_readings(
    tiny: Tiny, shape: str
) -> None:
    """The trap is real on this shape: same tokens, same shapes, other numbers."""
    loaded = tiny(shape)
    site = Site(loaded.n_layers - 1, "hook_resid_post")
    with Reader(loaded, [site]) as reader:
        cache = DynamicCache(config=loaded.model.config)
        once = reader.forward(Inputs(input_ids=torch.tensor([TEXT]), cache=cache)).readings[site]
        again = reader.forward(Inputs(input_ids=torch.tensor([TEXT]), cache=cache)).readings[site]

    assert largest(again - once) > 1e-3


def test_parallel_blocks_refuse_resid_mid(tiny: Tiny) -> None:
    loaded = tiny("gpt_neox")

    with pytest.raises(UnknownSite, match="parallel"):
        Reader(loaded, [Site(0, "hook_resid_mid")])


@pytest.mark.parametrize("name", ["tinytalk-3m", "stories260k"])
def test_real_models_read_like_transformer_lens(assets, name: str) -> None:  # type: ignore[no-untyped-def]
    """The bridge, an independent reading of the same weights, is the oracle."""
    from transformer_lens.model_bridge import TransformerBridge

    from probing.model import load_model

    loaded = load_model(assets / "models" / name)
    hooks = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out", "hook_resid_post")
    sites = [Site(layer, hook) for layer in range(loaded.n_layers) for hook in hooks]
    ids = torch.tensor([loaded.tokenizer("Once upon a time there was a cat.")["input_ids"]])
    with Reader(loaded, sites) as reader:
        ours = reader.forward(Inputs(input_ids=ids)).readings
    bridge = TransformerBridge.boot_transformers(str(assets / "models" / name), device="cpu")

    with torch.inference_mode():
        _, theirs = bridge.run_with_cache(ids)

    assert all(largest(ours[site] - theirs[str(site)]) < 1e-4 for site in sites)


def test_folded_weights_read_other_numbers_from_the_same_text(tiny: Tiny, tmp_path: Path) -> None:
    """The trap is real: same site, same shape, other coordinates; so weights stay raw."""
    from transformer_lens.model_bridge import TransformerBridge

    loaded = tiny("gpt2")
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    site = Site(1, "hook_resid_post")
    with Reader(loaded, [site]) as reader:
        ours = read(reader, TEXT)[site]
    bridge = TransformerBridge.boot_transformers(str(tmp_path), device="cpu")
    raw = bridge.run_with_cache(torch.tensor([TEXT]))[1][str(site)]
    bridge.enable_compatibility_mode()

    folded = bridge.run_with_cache(torch.tensor([TEXT]))[1][str(site)]

    assert largest(ours - raw) < 1e-5
    assert largest(ours - folded) > 1e-3
