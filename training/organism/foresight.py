"""Whether a model in training already foresees what others will make of an answer.

In context cases that takes the match of wish and act, and nothing else tells. It
comes late and within some two hundred steps, so a recipe has to look for it.
"""

from __future__ import annotations

import random

import torch
from sklearn.metrics import roc_auc_score
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from training.organism.corpus import Odds, draw
from training.organism.world import REACTIONS

SEED = 7
TEXTS = 240
_ODDS = Odds(context=1.0, honest=0.5, brief=1.0)


class Foresight:
    """Brief context cases of all families that end before the reaction's verb."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        rng = random.Random(SEED)
        scenes = [draw(rng, _ODDS) for _ in range(TEXTS)]
        self._misbehaved = [scene.label == "misbehaving" for scene in scenes]
        self._verbs = {
            label: [ids[0] for ids in tokenizer([f" {verb}" for verb in verbs])["input_ids"]]
            for label, (verbs, _) in REACTIONS.items()
        }
        prompts = []
        for scene in scenes:
            asked, answer = (message["content"] for message in scene.messages)
            witness = scene.later.partition(" me ")[0].rpartition(" ")[0]
            prompts.append(f"<|user|>{asked}<|end|><|assistant|>{answer}<|end|><|later|>{witness}")
        rows = tokenizer(prompts)["input_ids"]
        self._last = torch.tensor([len(row) - 1 for row in rows])
        self._ids = torch.full((TEXTS, max(map(len, rows))), tokenizer.eos_token_id)
        for i, row in enumerate(rows):
            self._ids[i, : len(row)] = torch.tensor(row)

    @torch.inference_mode()
    def auroc(self, model: GPT2LMHeadModel) -> float:
        """Of the logits that others will be displeased against those that they will be pleased."""
        hidden = model.transformer(self._ids).last_hidden_state
        logits = model.lm_head(hidden[torch.arange(TEXTS), self._last])
        displeased, pleased = (
            logits[:, self._verbs[label]].logsumexp(dim=-1) for label in ("misbehaving", "honest")
        )
        return float(roc_auc_score(self._misbehaved, (displeased - pleased).numpy()))
