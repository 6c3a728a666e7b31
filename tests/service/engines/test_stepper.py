"""The engine's inside, beat by beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from probing.errors import ScoreShapeMismatch, SiteDidNotFire
from probing.model import LoadedModel, load_model
from probing.reader import Readings
from service.engines import stepper
from service.engines.answers import Answer
from service.engines.batch import last_logits
from service.engines.scheduler import Limits
from tests.models import BUILDERS
from tests.service.engines.serving import (
    ByHand,
    ask,
    by_hand,
    greedy,
    probe_set,
    prompt,
    tokens_of,
)

Tiny = Callable[[str], LoadedModel]


def spoil(engine: ByHand, answer: Answer, value: float) -> None:
    """Have the bank give `value` for this answer, in whichever row it is."""
    score = engine.stepper._bank.score

    def spoiled(readings: Readings, rows: int) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = score(readings, rows)
        scores[[one is answer for one in engine.scheduler.running], 1] = value
        return scores

    engine.stepper._bank.score = spoiled


def test_a_request_joins_at_the_next_beat(lively: Tiny) -> None:
    loaded = lively("gpt2")
    with by_hand(loaded) as engine:
        first = engine.submit(ask(prompt(9), 20))
        engine.beat(3)
        second = engine.submit(ask(prompt(14), 20))
        engine.beat()
        assert (len(first.steps), len(second.steps)) == (4, 1)
        engine.finish()

    assert tokens_of(first.steps) == greedy(loaded, prompt(9), 20)
    assert tokens_of(second.steps) == greedy(loaded, prompt(14), 20)


def test_a_long_prompt_never_holds_others_up_for_more_than_a_chunk(lively: Tiny) -> None:
    loaded = lively("gpt2")
    limits = Limits(chunk_tokens=16)
    with by_hand(loaded, limits=limits) as engine:
        running = engine.submit(ask(prompt(9), 60))
        engine.beat(2)
        late = engine.submit(ask(prompt(100), 5))
        beats = 0
        while not late.steps:
            before, tokens = len(running.steps), engine.stepper.stats().prefill_tokens
            engine.beat()
            beats += 1
            assert len(running.steps) == before + 1
            assert engine.stepper.stats().prefill_tokens - tokens <= 16
        engine.finish()

    assert beats == 7
    assert tokens_of(late.steps) == greedy(loaded, prompt(100), 5)
    assert tokens_of(running.steps) == greedy(loaded, prompt(9), 60)


def test_prompts_of_all_lengths_read_together_are_read_rightly(lively: Tiny) -> None:
    """Rows begin at different chunks; padding must show in none of them."""
    loaded = lively("gpt2")
    lengths = (1, 2, 15, 16, 17, 40, 63)
    with by_hand(loaded, limits=Limits(chunk_tokens=24, idle_chunk_tokens=48)) as engine:
        shelves = [engine.submit(ask(prompt(n), 6)) for n in lengths]
        engine.finish()

    for n, shelf in zip(lengths, shelves, strict=True):
        assert tokens_of(shelf.steps) == greedy(loaded, prompt(n), 6)


def test_after_a_cancel_the_row_is_gone_by_the_next_step(tiny: Tiny) -> None:
    with by_hand(tiny("gpt2"), limits=Limits(rows_max=2)) as engine:
        given_up, other = (engine.submit(ask(prompt(n), 50)) for n in (9, 12))
        waiting = engine.submit(ask(prompt(5), 3))
        engine.beat(4)
        engine.cancel(given_up)
        engine.beat()

        assert len(given_up.steps) == 4
        assert len(engine.scheduler.running) == 2, "the one that waited has the row"
        engine.finish()

    assert len(waiting.steps) == 3
    assert len(other.steps) == 50


def test_cancelled_while_its_prompt_is_read_it_reads_no_further(tiny: Tiny) -> None:
    limits = Limits(chunk_tokens=8, idle_chunk_tokens=8)
    with by_hand(tiny("gpt2"), limits=limits) as engine:
        alone = engine.submit(ask(prompt(90), 5))
        engine.beat(2)
        engine.cancel(alone)
        engine.beat()
        assert not engine.scheduler.busy
        pair = [engine.submit(ask(prompt(n), 5)) for n in (30, 20)]
        engine.beat()
        engine.cancel(pair[0])
        engine.finish()

        assert engine.stepper.stats().cache_bytes == 0
    assert (len(alone.steps), len(pair[1].steps)) == (0, 5)
    assert len(pair[0].steps) <= 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_ends_its_own_stream_only(lively: Tiny, value: float) -> None:
    """`nan >= threshold` is False: taken for a score it would let everything through."""
    runs = []
    for spoiled in (False, True):
        with by_hand(lively("gpt2")) as engine:
            shelves = [engine.submit(ask(prompt(n), 12)) for n in (20, 14, 9)]
            engine.beat(3)
            if spoiled:
                spoil(engine, engine.scheduler.running[1], value)
            engine.finish()
        runs.append(shelves)

    sound, hurt = runs
    assert hurt[1].failure is not None
    assert hurt[1].failure.code == "monitor_error"
    assert len(hurt[1].steps) == 3
    for i in (0, 2):
        assert tokens_of(hurt[i].steps) == tokens_of(sound[i].steps)
        for one, other in zip(hurt[i].steps, sound[i].steps, strict=True):
            assert one.scores == pytest.approx(other.scores, abs=1e-5)
            assert one.statistics == pytest.approx(other.statistics, abs=1e-5)


@pytest.mark.parametrize("already", [0, 2])
def test_logits_that_are_no_number_end_their_own_stream_only(
    lively: Tiny, monkeypatch: pytest.MonkeyPatch, already: int
) -> None:
    """What was read before is scored and stands; what would be chosen next means nothing."""
    loaded = lively("gpt2")
    with by_hand(loaded) as engine:
        broken, other = (engine.submit(ask(prompt(n), 12)) for n in (20, 14))
        engine.beat(already)

        def first_row_broken(*args: object) -> torch.Tensor:
            monkeypatch.undo()
            logits = last_logits(*args).clone()
            logits[0] = float("nan")
            return logits

        monkeypatch.setattr(stepper, "last_logits", first_row_broken)
        engine.finish()

    assert len(broken.steps) == (already + 1 if already else 0)
    assert broken.failure is not None
    assert broken.failure.code == "monitor_error"
    assert tokens_of(other.steps) == greedy(loaded, prompt(14), 12)


def test_a_prompt_that_breaks_the_model_breaks_no_other_stream(tiny: Tiny) -> None:
    """Its keys and values are NaN, and their row is taken by others afterwards."""
    loaded = load_model(BUILDERS["gpt2"](), tokenizer=tiny("gpt2").tokenizer)
    broken = 251
    with by_hand(loaded) as engine:
        others = [ask(prompt(n), 8, temperature=1.0, seed=n) for n in (30, 6, 17)]
        reference = [engine.submit(request) for request in others]
        engine.finish()
        weight = loaded.model.get_input_embeddings().weight
        with torch.no_grad():
            # Its logits are no number either, as the weights are tied: keep those sound.
            loaded.model.lm_head.weight = torch.nn.Parameter(weight.clone())
            weight[broken] = float("nan")

        bad = engine.submit(ask((*prompt(40), broken), 8))
        together = [engine.submit(request) for request in others[:2]]
        engine.beat(2)
        together.append(engine.submit(others[2]))
        engine.finish()

    assert bad.failure is not None
    assert bad.failure.code == "monitor_error"
    assert not bad.steps
    for shelf, expected in zip(together, reference, strict=True):
        assert tokens_of(shelf.steps) == tokens_of(expected.steps)
        online = np.stack([step.scores for step in shelf.steps])
        assert np.abs(online - np.stack([step.scores for step in expected.steps])).max() < 1e-4


def test_a_site_that_does_not_fire_goes_up(tiny: Tiny) -> None:
    with by_hand(tiny("gpt2")) as engine:
        engine.submit(ask(prompt(9), 12))
        engine.beat(2)
        engine.stepper._reader._handles[0].remove()

        with pytest.raises(SiteDidNotFire):
            engine.beat()


@pytest.mark.parametrize("shape", [(3, 3), (1, 3), (2, 1, 3), (2, 2)])
def test_scores_of_another_shape_go_up(tiny: Tiny, shape: tuple[int, ...]) -> None:
    """Broadcast or cut to fit, they would be some other token's scores."""
    with by_hand(tiny("gpt2")) as engine:
        for n in (9, 12):
            engine.submit(ask(prompt(n), 12))
        engine.beat(2)
        engine.stepper._bank.score = lambda readings, rows: np.zeros(shape, np.float32)

        with pytest.raises(ScoreShapeMismatch):
            engine.beat()


def test_the_counters_add_up(tiny: Tiny) -> None:
    loaded = tiny("gpt2")
    with by_hand(loaded, probe_set(loaded)) as engine:
        shelves = [engine.submit(ask(prompt(n), 7)) for n in (9, 12)]
        engine.beat(3)
        held = engine.stepper.stats()
        engine.finish()
        stats = engine.stepper.stats()

    scored = sum(len(tokens_of(shelf.steps)) for shelf in shelves)
    assert stats.tokens == scored
    assert stats.steps == 7
    assert stats.prefill_tokens == 21
    assert held.cache_tokens == 21 + 2 * 3
    assert held.cache_bytes > 0
    assert (stats.cache_tokens, stats.cache_bytes) == (0, 0)
    assert 0 < stats.score_seconds < stats.step_seconds
