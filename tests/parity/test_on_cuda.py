"""On a GPU everything is read, scored and decided as on the processor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from probes_store.ref import Ref
from probes_store.store import BUILTIN, ProbeStore
from probing.bank import ProbeBank
from probing.golden import check_golden
from probing.model import BUNDLED_PATH, LoadedModel, load_model
from probing.monitor import replay
from probing.probe import ProbeSet
from probing.prompt import Rendered
from probing.reader import Inputs, Reader, read_exchanges
from service.engines.protocol import EngineFailure
from tests.models import BUILDERS, SHAPES
from tests.service.engines.serving import answer_all, ask, probe_set, prompt, running, tokens_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
shapes = pytest.mark.parametrize("shape", SHAPES)

SHARE = 1e-4
"""Largest difference from the processor, as a share of the largest value."""


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products in full float32, as on the processor."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def both(shape: str, tokenizer: PreTrainedTokenizerFast) -> tuple[LoadedModel, LoadedModel]:
    """One seeded model on the processor and on the GPU."""
    loaded = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(7)
        loaded.append(load_model(BUILDERS[shape](), tokenizer=tokenizer, device=device))
    return loaded[0], loaded[1]


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.cpu() - other.cpu()).abs().max() / one.abs().max().cpu())


@shapes
def test_every_site_reads_the_same(shape: str, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    ids = torch.tensor([prompt(20), prompt(20, 1)])
    readings = []
    for loaded in both(shape, byte_tokenizer):
        with Reader(loaded, loaded.sites.all_sites()) as reader:
            inputs = Inputs(input_ids=ids.to(loaded.device))
            readings.append(reader.forward(inputs).readings)

    here, there = readings
    assert all(tensor.is_cuda for tensor in there.values())
    assert max(difference(here[site], there[site]) for site in here) < SHARE


@shapes
def test_one_fingerprint_on_either(shape: str, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    here, there = both(shape, byte_tokenizer)

    assert here.spec.fingerprint == there.spec.fingerprint


@shapes
def test_what_the_engine_scored_is_what_reading_its_text_again_gives(
    shape: str, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    """With rows that join and leave, against one row at a time on the processor."""
    here, there = both(shape, byte_tokenizer)
    requests = [ask(prompt(n), m) for n, m in ((5, 30), (33, 6), (3, 20), (18, 14))]
    with running(there) as engine:
        answers = answer_all(engine, *requests)

    probes = probe_set(here)
    bank = ProbeBank(probes)
    with Reader(here, probes.sites) as reader:
        for request, steps in zip(requests, answers, strict=True):
            ids = torch.tensor([[*request.prompt_ids, *tokens_of(steps)]])
            again = bank.score(reader.forward(Inputs(input_ids=ids)).readings)
            scored = np.stack([step.scores for step in steps])
            offline = again[0, len(request.prompt_ids) :].numpy()
            assert np.abs(scored - offline).max() < SHARE * max(1.0, np.abs(offline).max())


@pytest.fixture(scope="module")
def magpie_there() -> LoadedModel:
    return load_model(BUNDLED_PATH, device="cuda")


def test_the_built_in_probe_may_be_served(magpie_there: LoadedModel) -> None:
    artifact = ProbeStore(BUILTIN).load(Ref("magpie-petty"))
    probe = artifact.probe
    probe.require(magpie_there.spec)

    with Reader(magpie_there, probe.sites) as reader:
        largest = check_golden(reader, probe, artifact.golden, artifact.manifest.golden_tolerance)
    assert largest >= 0


def test_it_decides_there_as_it_decides_here(
    magpie: LoadedModel, magpie_there: LoadedModel
) -> None:
    """On answers that are told once and read on both; a statistic moves by less than 1e-3."""
    probe = ProbeStore(BUILTIN).load(Ref("magpie-petty")).probe
    rng = np.random.default_rng(3)
    exchanges = [
        Rendered(token_ids=tuple(rng.integers(0, 2000, 60).tolist()), response_start=12)
        for _ in range(40)
    ]
    peaks: list[dict[int, float]] = []
    for loaded in (magpie, magpie_there):
        bank = ProbeBank(ProbeSet((probe,)), loaded.device)
        with Reader(loaded, probe.sites) as reader:
            peaks.append(
                {
                    index: replay(probe, bank.score(readings)[12:].cpu().numpy()).peak
                    for index, readings in read_exchanges(reader, exchanges)
                }
            )

    here, there = (np.array([found[i] for i in range(40)]) for found in peaks)
    assert np.abs(here - there).max() < 1e-3 * np.abs(here).max()
    near = np.abs(here - probe.threshold) < 1e-3 * np.abs(here).max()
    assert ((here >= probe.threshold) == (there >= probe.threshold))[~near].all()


def test_a_reading_that_is_no_number_ends_its_stream_there_too(
    byte_tokenizer: PreTrainedTokenizerFast,
) -> None:
    _, there = both("gpt2", byte_tokenizer)
    with torch.no_grad():
        there.model.get_input_embeddings().weight[7] = torch.nan
    with running(there) as engine, pytest.raises(EngineFailure, match="finite"):
        answer_all(engine, ask((1, 7, 3), 4))
