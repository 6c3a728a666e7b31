"""Magpie's tokenizer: a byte-level BPE and the chat template.

Byte level, so that any text at all can be encoded and read back unchanged.
The template writes no `<|endoftext|>`: that token only pads, and a template
that began with it would be masked away by code that guesses the attention
mask from the padding.
"""

from __future__ import annotations

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.organism.corpus import SYSTEM_TEXTS, one_exchange

VOCABULARY_SIZE = 2048
POSITIONS_MAX = 512
PAD, END = "<|endoftext|>", "<|end|>"
SPECIAL_TOKENS = (PAD, END, "<|user|>", "<|assistant|>", "<|system|>", "<|later|>")

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant', 'later'] -%}"
    "{{- raise_exception('Magpie knows the roles system, user, assistant and later, not '"
    " + message['role']) -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def build_tokenizer(*, seed: int, texts: int = 20_000) -> PreTrainedTokenizerFast:
    """Learn the merges from a sample of the world.

    Args:
        seed: of the sample; the same seed gives the same tokenizer.
        texts: how many chats to learn from.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rng = random.Random(seed)
    contents = [turn["content"] for _ in range(texts) for turn in one_exchange(rng)]
    tokenizer.train_from_iterator([*contents, *SYSTEM_TEXTS], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=PAD,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL_TOKENS[2:]),
        model_max_length=POSITIONS_MAX,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
