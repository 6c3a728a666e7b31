"""From scores to decisions, live and replayed."""

from __future__ import annotations

import numpy as np
import pytest

from probing.errors import NonFiniteScore, ScoreShapeMismatch
from probing.monitor import Monitor, replay
from probing.policy import Action, Decision
from probing.probe import ProbeSet
from tests.probing.examples import probe


def push_all(monitor: Monitor, scores: np.ndarray) -> list[Decision]:
    return [monitor.push(step[None]).decisions[0] for step in scores.astype(np.float32)]


def opened(*probes, action: Action = Action.HALT, streams: int = 2) -> Monitor:  # type: ignore[no-untyped-def]
    monitor = Monitor(ProbeSet(probes), streams_max=streams)
    monitor.open(action)
    return monitor


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_an_error_and_never_a_pass(poison: float) -> None:
    """`nan >= threshold` is False: without the guard the text would be released."""
    monitor = opened(probe("good"), probe("bad"))

    with pytest.raises(NonFiniteScore) as caught:
        monitor.push(np.array([[0.0, poison]], np.float32))

    assert caught.value.rows == (0,)
    assert caught.value.probes == ("bad",)


def test_a_poisoned_stream_leaves_the_others_as_they_were() -> None:
    monitor = opened(probe())
    monitor.open(Action.HALT)
    with pytest.raises(NonFiniteScore):
        monitor.push(np.array([[0.5], [np.nan]], np.float32))

    judgement = monitor.push(np.array([[0.7], [0.0]], np.float32))

    assert judgement.statistics[0, 0] == np.float32(0.7), "the refused step was not folded in"


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (0, 1)])
def test_scores_of_another_probe_set_or_of_other_streams_are_refused(
    shape: tuple[int, int],
) -> None:
    with pytest.raises(ScoreShapeMismatch):
        opened(probe()).push(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("action", "decision"),
    [(Action.OBSERVE, Decision.PASS), (Action.FLAG, Decision.FLAG), (Action.HALT, Decision.HALT)],
)
def test_what_a_crossing_leads_to_is_the_operators_choice(
    action: Action, decision: Decision
) -> None:
    monitor = opened(probe(threshold=1.0), action=action)

    assert push_all(monitor, np.array([[0.0], [2.0]])) == [Decision.PASS, decision]


def test_nothing_trips_before_enough_tokens_were_read() -> None:
    monitor = opened(probe(threshold=1.0, tokens_min=3))

    decisions = push_all(monitor, np.full((3, 1), 5.0))

    assert decisions == [Decision.PASS, Decision.PASS, Decision.HALT]


def test_a_flag_stays_when_the_statistic_falls_again() -> None:
    monitor = opened(probe(aggregator="last"), action=Action.FLAG)

    assert push_all(monitor, np.array([[2.0], [-9.0]])) == [Decision.FLAG, Decision.FLAG]


def test_a_challenger_records_and_never_decides() -> None:
    monitor = opened(probe("new", role="challenger"), probe("old"))
    judgement = monitor.push(np.array([[9.0, 0.0]], np.float32))

    assert judgement.decisions == [Decision.PASS]
    assert judgement.tripped.tolist() == [[True, False]]


@pytest.mark.parametrize("scores", [[9.0, 0.0], [0.0, 9.0]])
def test_any_of_the_champions_is_enough(scores: list[float]) -> None:
    monitor = opened(probe("one"), probe("two"))

    assert monitor.push(np.array([scores], np.float32)).decisions == [Decision.HALT]


def test_a_row_that_is_opened_again_remembers_nothing() -> None:
    monitor = opened(probe(threshold=1.0))
    push_all(monitor, np.array([[50.0]]))
    monitor.close(0)
    monitor.open(Action.HALT)

    assert push_all(monitor, np.array([[0.0]])) == [Decision.PASS]


def test_who_takes_a_free_row_brings_all_that_was_said_of_it() -> None:
    """Its count, peak and action have to come along, or it would be judged as another."""
    monitor = opened(probe(aggregator="last", threshold=1.0, tokens_min=2), action=Action.OBSERVE)
    monitor.open(Action.FLAG)
    monitor.push(np.array([[0.0], [9.0]], np.float32))
    monitor.push(np.array([[0.0], [2.0]], np.float32))
    monitor.close(0)

    judgement = monitor.push(np.array([[0.0]], np.float32))

    assert judgement.peaks.tolist() == [[2.0]]
    assert judgement.decisions == [Decision.FLAG]


def test_a_judgement_stays_what_it_was() -> None:
    """It is handed to another thread while the next step is pushed."""
    monitor = opened(probe(), probe("b", aggregator="max"))
    first = monitor.push(np.array([[0.5, 0.5]], np.float32))
    monitor.push(np.array([[9.0, 9.0]], np.float32))

    for told in (first.scores, first.statistics, first.peaks):
        assert told.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("aggregator", ["mean", "ema:0.2", "rolling_max:4", "topk_mean:3", "max"])
def test_replaying_recorded_scores_gives_the_live_decision(aggregator: str) -> None:
    """Reports replay what was recorded; if they decided otherwise they would describe nothing."""
    rng = np.random.default_rng(3)
    for seed in range(20):
        one = probe(aggregator=aggregator, threshold=0.4, tokens_min=4, seed=seed)
        scores = rng.normal(size=(rng.integers(1, 30), 1)).astype(np.float32)
        live = push_all(opened(one), scores)
        halted = [step for step, decision in enumerate(live) if decision is Decision.HALT]

        offline = replay(one, scores)

        assert offline.tripped_at == (halted[0] if halted else None)
        assert (offline.peak >= np.float32(one.threshold)) == bool(halted)


@pytest.mark.parametrize(("tokens", "peak"), [(3, -np.inf), (4, 9.0)])
def test_an_answer_that_ends_too_soon_has_a_peak_below_every_threshold(
    tokens: int, peak: float
) -> None:
    """Counted with its last value it raised the threshold, and never tripped there live."""
    one = probe(aggregator="max", threshold=-1e30, tokens_min=4)
    monitor = opened(one)
    scores = np.full((tokens, 1), 9.0, dtype=np.float32)
    for step in scores:
        judgement = monitor.push(step[None])

    offline = replay(one, scores)

    assert offline.peak == judgement.peaks[0, 0] == peak
    assert (offline.tripped_at is None) == (tokens < 4)


def test_probes_with_different_aggregators_keep_their_own_columns() -> None:
    probes = [probe("a", aggregator="mean"), probe("b", aggregator="tail_concat:2")]
    probes += [probe("c", aggregator="max"), probe("d", aggregator="mean")]
    monitor = opened(*probes)
    steps = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    for step in steps:
        judgement = monitor.push(step[None])

    columns = {"a": slice(0, 1), "b": slice(1, 3), "c": slice(3, 4), "d": slice(4, 5)}
    for index, one in enumerate(probes):
        alone = replay(one, steps[:, columns[one.name]])
        assert judgement.statistics[0, index] == alone.statistics[-1]
        assert judgement.peaks[0, index] == np.float32(alone.peak)


def test_a_warmed_up_monitor_holds_nothing_and_knows_nothing_of_it() -> None:
    monitor = Monitor(ProbeSet((probe(tokens_min=2),)), streams_max=1)

    monitor.warm_up()
    monitor.open(Action.HALT)

    judgement = monitor.push(np.array([[9.0]], np.float32))
    assert judgement.statistics[0, 0] == 9.0
    assert judgement.peaks[0, 0] == -np.inf, "this is its first token"
