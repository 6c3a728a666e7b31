"""The engine as the gateway sees it, on four architectures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from probing.bank import ProbeBank
from probing.errors import PromptTooLong, ReadingMismatch
from probing.model import LoadedModel, load_model
from probing.monitor import replay
from probing.prompt import Rendered
from probing.reader import Reader, read_exchanges
from service.engines.local import LocalEngine
from service.engines.protocol import EngineFailure, RequestRefused, Step
from service.engines.scheduler import Limits
from tests.models import BUILDERS, SHAPES
from tests.service.engines.serving import (
    answer_all,
    ask,
    collect,
    greedy,
    probe_set,
    prompt,
    running,
    tokens_of,
)

Tiny = Callable[[str], LoadedModel]
shapes = pytest.mark.parametrize("shape", SHAPES)


@shapes
def test_alone_it_generates_what_transformers_generates(lively: Tiny, shape: str) -> None:
    loaded = lively(shape)
    with running(loaded) as engine:
        (steps,) = answer_all(engine, ask(prompt(20), 12))

    assert tokens_of(steps) == greedy(loaded, prompt(20), 12)


@shapes
def test_with_rows_joining_and_leaving_it_generates_the_same(lively: Tiny, shape: str) -> None:
    """Also across the sliding windows of 16 tokens that two of the shapes have."""
    loaded = lively(shape)
    requests = [ask(prompt(n), m) for n, m in ((5, 30), (33, 6), (3, 20), (50, 8), (18, 14))]

    async def staggered(engine: LocalEngine) -> list[list[Step]]:
        first = asyncio.create_task(collect(engine, requests[0]))
        others = []
        for request in requests[1:]:
            already = engine.step_stats().steps
            while engine.step_stats().steps < already + 3 and not first.done():
                await asyncio.sleep(0.001)
            others.append(asyncio.create_task(collect(engine, request)))
        return [await first, *await asyncio.gather(*others)]

    with running(loaded, limits=Limits(rows_max=3)) as engine:
        answers = asyncio.run(staggered(engine))

    for request, steps in zip(requests, answers, strict=True):
        assert tokens_of(steps) == greedy(loaded, request.prompt_ids, request.tokens_max)


@shapes
def test_scores_online_are_the_scores_offline(tiny: Tiny, shape: str) -> None:
    """A threshold calibrated on readings taken otherwise than live would mean nothing."""
    loaded = tiny(shape)
    probes = probe_set(loaded)
    sizes = ((4, 5), (29, 12), (51, 20), (8, 16))
    requests = [ask(prompt(n), m, temperature=1.0, seed=n) for n, m in sizes]
    with running(loaded, probes) as engine:
        answers = answer_all(engine, *requests)
    bank = ProbeBank(probes)

    with Reader(loaded, probes.sites) as reader:
        for request, steps in zip(requests, answers, strict=True):
            start = len(request.prompt_ids)
            exchange = Rendered(request.prompt_ids + tuple(tokens_of(steps)), start)
            ((_, readings),) = read_exchanges(reader, [exchange])
            offline = bank.score(readings)[start:].numpy()

            online = np.stack([step.scores for step in steps])
            assert np.abs(online - offline).max() < 1e-4
            for i, probe in enumerate(probes.probes):
                again = replay(probe, offline[:, i : i + 1])
                statistics = [step.statistics[i] for step in steps]
                assert np.abs(again.statistics - statistics).max() < 1e-4
                assert steps[-1].peaks[i] == pytest.approx(again.peak, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_every_token_that_comes_out_has_been_scored_once(tiny: Tiny, seed: int) -> None:
    loaded = tiny("gpt2")
    rng = np.random.default_rng(seed)
    requests = [
        ask(prompt(int(rng.integers(1, 60)), i), int(rng.integers(1, 20)), temperature=1.3, seed=i)
        for i in range(9)
    ]
    with running(loaded, limits=Limits(rows_max=4, chunk_tokens=32)) as engine:
        answers = answer_all(engine, *requests)

    for steps in answers:
        scored = [step for step in steps if step.token_id != 256]
        assert [step.position for step in scored] == list(range(len(scored)))
        assert all(np.isfinite(step.scores).all() for step in scored)
        assert [step.finish_reason is not None for step in steps] == [False] * (len(steps) - 1) + [
            True
        ]
        text = loaded.tokenizer.decode([step.token_id for step in scored])
        assert "".join(step.text for step in steps) == text


def test_a_seed_gives_the_same_answer_in_any_company(lively: Tiny) -> None:
    loaded = lively("gpt2")
    request = ask(prompt(12), 30, temperature=0.9, top_p=0.8, seed=-3)
    others = [ask(prompt(n), 20, temperature=1.0) for n in (3, 40, 12)]
    with running(loaded) as engine:
        (alone,) = answer_all(engine, request)
        among = answer_all(engine, *others, request)[-1]
        (reseeded,) = answer_all(engine, replace(request, seed=4))

    assert tokens_of(alone) == tokens_of(among)
    assert tokens_of(alone) != tokens_of(reseeded)


def test_halting_ends_one_stream_at_the_crossing_token(lively: Tiny) -> None:
    loaded = lively("gpt2")
    with running(loaded) as engine:
        (watched,) = answer_all(engine, ask(prompt(9), 20))
    statistics = np.array([step.statistics[0] for step in watched])
    crossing = 3 + int(statistics[3:].argmax())
    expected = int(np.flatnonzero(statistics[2:] >= statistics[crossing])[0]) + 2
    probes = probe_set(loaded, threshold=float(statistics[crossing]))

    with running(loaded, probes) as engine:
        (steps,) = answer_all(engine, ask(prompt(9), 20))

    assert [step.decision.word for step in steps] == ["pass"] * expected + ["halt"]
    assert steps[-1].finish_reason == "content_filter"
    assert steps[-1].tripped.tolist() == [True, False, False]


def test_an_early_stream_has_each_token_twice_and_its_text_once(lively: Tiny) -> None:
    loaded = lively("gpt2")
    with running(loaded) as engine:
        (plain,), (early,) = (
            answer_all(engine, ask(prompt(9), 10, early=early)) for early in (False, True)
        )

    assert tokens_of(early) == tokens_of(plain)
    assert "".join(step.text for step in early) == "".join(step.text for step in plain)
    ahead = [step for step in early if step.scores is None]
    assert [step.token_id for step in ahead] == tokens_of(plain)
    assert all(step.finish_reason is None for step in ahead)


def test_an_answer_stops_where_the_context_is_full(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    with running(loaded) as engine:
        (steps,) = answer_all(engine, ask(prompt(loaded.context - 4), 50))

    assert len(steps) == 4
    assert steps[-1].finish_reason == "length"


def test_an_answer_of_nothing_but_the_end_is_one_empty_step(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    (first,) = greedy(loaded, prompt(9), 1)
    with running(replace(loaded, end_ids=frozenset([first]))) as engine:
        (steps,) = answer_all(engine, ask(prompt(9), 10))

    (only,) = steps
    assert (only.text, only.finish_reason, only.scores) == ("", "stop", None)


def test_the_end_token_is_never_part_of_the_answer(lively: Tiny) -> None:
    loaded = lively("gpt2")
    tokens = greedy(loaded, prompt(9), 12)
    end = next(t for t in tokens if t != tokens[0])
    with running(replace(loaded, end_ids=frozenset([end]))) as engine:
        (steps,) = answer_all(engine, ask(prompt(9), 12))

    assert tokens_of(steps) == tokens[: tokens.index(end)]
    assert steps[-1].finish_reason == "stop"


def test_a_stop_string_ends_the_answer_and_does_not_show(tiny: Tiny) -> None:
    """It spans tokens here: every token is one byte."""
    loaded = tiny("gpt2")
    request = ask(prompt(11), 60, temperature=1.0, seed=2)
    with running(loaded) as engine:
        (free,) = answer_all(engine, request)
        text = "".join(step.text for step in free)
        stop = text[20:24]
        (steps,) = answer_all(engine, replace(request, stop=(stop, "\0never\0")))

    shown = "".join(step.text for step in steps)
    assert shown == text[: text.index(stop)]
    assert steps[-1].finish_reason == "stop"
    assert all(step.scores is not None for step in steps)


def test_what_no_engine_could_answer_is_refused_before_it_is_queued(tiny: Tiny) -> None:
    """A token outside the vocabulary would end the forward pass of everyone's answers."""
    loaded = tiny("gpt2")
    with running(loaded) as engine:
        for bad in ((), (1, 257), (-1, 3)):
            with pytest.raises(RequestRefused):
                answer_all(engine, ask(bad))
        with pytest.raises(PromptTooLong):
            answer_all(engine, ask(prompt(loaded.context)))
        for field, value in (
            ("tokens_max", 0),
            ("temperature", float("nan")),
            ("top_p", 0.0),
            ("stop", ("",)),
        ):
            with pytest.raises(RequestRefused):
                replace(ask(prompt(4)), **{field: value})

        assert len(answer_all(engine, ask(prompt(4), 2))[0]) == 2


def test_a_probe_of_another_model_is_refused(tiny: Tiny) -> None:
    loaded = tiny("gpt2")

    with pytest.raises(ReadingMismatch):
        LocalEngine(loaded, probe_set(loaded, fingerprint="0" * 12))


def test_a_model_that_ignores_positions_is_not_served(tiny: Tiny) -> None:
    """Its padded rows would be read at wrong places: right shapes, no error, other scores."""
    loaded = load_model(BUILDERS["gpt2"](), tokenizer=tiny("gpt2").tokenizer)
    forward = loaded.model.forward

    def counts_padding(*args: object, position_ids: torch.Tensor, **named: object) -> object:
        return forward(*args, position_ids=None, **named)

    loaded.model.forward = counts_padding
    engine = LocalEngine(loaded, probe_set(loaded))

    with pytest.raises(EngineFailure, match="does not honour"):
        engine.start()


def test_the_card_says_what_is_served(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    probes = probe_set(loaded)
    card = LocalEngine(loaded, probes, model_name="a model").card

    assert card.model_name == "a model"
    assert card.probe_set == probes.digest
    assert card.probes == ("probe0", "probe1", "probe2")
    assert card.fingerprint == loaded.spec.fingerprint
    assert card.context == 256
