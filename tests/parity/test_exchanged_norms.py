"""A GPT-2 whose LayerNorms somebody replaced is read, scored, judged and served as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from probing.bank import ProbeBank
from probing.errors import ReadingMismatch
from probing.model import LoadedModel, load_model
from probing.monitor import Monitor, replay
from probing.policy import Action, Decision
from probing.prompt import Rendered
from probing.reader import Inputs, Reader, read_exchanges
from probing.spec import Site
from service.engines.local import LocalEngine
from tests.models import gpt2
from tests.service.engines.serving import (
    answer_all,
    ask,
    greedy,
    probe_set,
    prompt,
    running,
    tokens_of,
)

Tiny = Callable[[str], LoadedModel]
IDS = prompt(20)


@pytest.fixture(scope="module")
def normless(byte_tokenizer: PreTrainedTokenizerFast) -> LoadedModel:
    """The seeded GPT-2 of `tiny`, with every one of its norms replaced by nothing."""
    torch.manual_seed(7)
    model = gpt2()
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = nn.Identity(), nn.Identity()
    model.transformer.ln_f = nn.Identity()
    return load_model(model, tokenizer=byte_tokenizer)


def test_it_has_a_fingerprint_of_its_own(normless: LoadedModel, tiny: Tiny) -> None:
    with_norms = tiny("gpt2").spec

    assert normless.spec.fingerprint != with_norms.fingerprint
    assert normless.spec.modules != with_norms.modules
    assert normless.spec.config == with_norms.config


def test_it_is_read_as_it_computes(normless: LoadedModel) -> None:
    """Without a final norm the last hidden state is the last block's output after all."""
    ids = torch.tensor([IDS])
    with torch.inference_mode():
        own = normless.model(ids, output_hidden_states=True).hidden_states
    with Reader(normless, normless.sites.all_sites()) as reader:
        r = reader.forward(Inputs(input_ids=ids)).readings

    for layer in range(normless.n_layers):
        pre, mid, post = (
            r[Site(layer, hook)] for hook in ("hook_resid_pre", "hook_resid_mid", "hook_resid_post")
        )
        torch.testing.assert_close(pre, own[layer])
        torch.testing.assert_close(post, own[layer + 1])
        torch.testing.assert_close(pre + r[Site(layer, "hook_attn_out")], mid)
        torch.testing.assert_close(mid + r[Site(layer, "hook_mlp_out")], post)


def test_it_is_scored_and_judged(normless: LoadedModel) -> None:
    probes = probe_set(normless, threshold=-1e9)
    monitor = Monitor(probes, streams_max=1)
    monitor.open(Action.HALT)
    with Reader(normless, probes.sites) as reader:
        readings = reader.forward(Inputs(input_ids=torch.tensor([IDS]))).readings
    scores = ProbeBank(probes).score(readings)[0].numpy()

    decisions = [monitor.push(step[None]).decisions[0] for step in scores]

    for i, one in enumerate(probes.probes):
        by_hand = one.bias + sum(readings[s][0].numpy() @ w.T for s, w in one.weights.items())
        assert np.abs(scores[:, i : i + 1] - by_hand).max() < 1e-5
    assert decisions == [Decision.PASS] * 2 + [Decision.HALT] * (len(IDS) - 2)


def test_it_is_served_and_its_scores_online_are_those_offline(normless: LoadedModel) -> None:
    probes = probe_set(normless)
    asked = [ask(IDS, 12, temperature=1.0, seed=1), ask(prompt(33), 9), ask(prompt(5), 15)]
    with running(normless, probes) as engine:
        answers = answer_all(engine, *asked)

    assert tokens_of(answers[1]) == greedy(normless, asked[1].prompt_ids, 9)
    with Reader(normless, probes.sites) as reader:
        for request, steps in zip(asked, answers, strict=True):
            scored = [step for step in steps if step.scores is not None]
            start = len(request.prompt_ids)
            exchange = Rendered(request.prompt_ids + tuple(tokens_of(steps)), start)
            ((_, readings),) = read_exchanges(reader, [exchange])
            offline = ProbeBank(probes).score(readings)[start:].numpy()
            assert np.abs(np.stack([step.scores for step in scored]) - offline).max() < 1e-5
            for i, one in enumerate(probes.probes):
                again = replay(one, offline[:, i : i + 1])
                assert scored[-1].peaks[i] == pytest.approx(again.peak, abs=1e-5)


def test_a_crossing_halts_it(normless: LoadedModel) -> None:
    with running(normless, probe_set(normless, threshold=-1e9)) as engine:
        (steps,) = answer_all(engine, ask(IDS, 12, temperature=1.0, seed=1))

    assert [step.decision for step in steps] == [Decision.PASS, Decision.PASS, Decision.HALT]


def test_probes_of_the_model_with_norms_are_refused(normless: LoadedModel, tiny: Tiny) -> None:
    strangers = probe_set(normless, fingerprint=tiny("gpt2").spec.fingerprint)

    with pytest.raises(ReadingMismatch):
        LocalEngine(normless, strangers)
