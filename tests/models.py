"""Four architectures in miniature, whose traps differ, with random weights."""

from __future__ import annotations

from collections.abc import Callable

from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

VOCABULARY = 257


def gpt2() -> PreTrainedModel:
    """Learned positions, pre-norm."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_layer=3, n_embd=64, n_head=2, n_positions=256,
            bos_token_id=256, eos_token_id=256,
        )
    )  # fmt: skip


def gpt_neo() -> PreTrainedModel:
    """Local attention in every second block, with a window shorter than the texts here."""
    return GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=VOCABULARY, num_layers=4, hidden_size=64, num_heads=2, window_size=16,
            max_position_embeddings=256, attention_types=[[["global", "local"], 2]],
            bos_token_id=256, eos_token_id=256,
        )
    )  # fmt: skip


def llama() -> PreTrainedModel:
    """Rotary positions, grouped keys and values."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, num_hidden_layers=3, hidden_size=64, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=128, max_position_embeddings=256,
            bos_token_id=256, eos_token_id=256,
        )
    )  # fmt: skip


def gemma2() -> PreTrainedModel:
    """Norms behind the sublayers as well, sliding windows, capped logits."""
    return Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=VOCABULARY, num_hidden_layers=4, hidden_size=64, num_attention_heads=2,
            num_key_value_heads=1, head_dim=32, intermediate_size=128, sliding_window=16,
            max_position_embeddings=256, bos_token_id=256, eos_token_id=256, pad_token_id=256,
        )
    )  # fmt: skip


def gpt_neox() -> PreTrainedModel:
    """Attention and MLP in parallel: it has no `resid_mid`."""
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=VOCABULARY, num_hidden_layers=2, hidden_size=64, num_attention_heads=2,
            intermediate_size=128, max_position_embeddings=256, bos_token_id=256, eos_token_id=256,
        )
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": gpt2,
    "gpt_neo": gpt_neo,
    "llama": llama,
    "gemma2": gemma2,
    "gpt_neox": gpt_neox,
}
SHAPES = ("gpt2", "gpt_neo", "llama", "gemma2")
