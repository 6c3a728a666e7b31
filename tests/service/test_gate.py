"""The gate: what may leave, what must be on record before, and what is withheld."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from probing.policy import Action, Decision
from service.domain import Flag, Message, utc_now
from service.engines.protocol import EngineFailure, GenerationRequest, Step
from service.gate import Gate, Run
from service.ledger import Answer, Order
from service.metrics import Metrics
from service.readiness import Readiness
from service.reasons import Unscored, Withheld
from service.store.review import ReviewStore
from tests.service.scripted import ScriptedEngine, script

WORDS = ("I", " took", " it", ".")
FAILURES = {
    "nan score": (Unscored.MONITOR_ERROR, lambda step: replace(step, scores=_like(step, np.nan))),
    "infinite score": (
        Unscored.MONITOR_ERROR,
        lambda step: replace(step, scores=_like(step, np.inf)),
    ),
    "nan statistic": (
        Unscored.MONITOR_ERROR,
        lambda step: replace(step, statistics=_like(step, np.nan)),
    ),
    "too few scores": (
        Unscored.MONITOR_ERROR,
        lambda step: replace(step, scores=np.zeros(1, np.float32)),
    ),
    "skipped token": (
        Unscored.MONITOR_ERROR,
        lambda step: replace(step, position=step.position + 1),
    ),
    "no score": (Unscored.UNSCORED_STEP, lambda step: replace(step, scores=None)),
    "no statistic": (Unscored.UNSCORED_STEP, lambda step: replace(step, statistics=None)),
    "a pass of what has tripped": (
        Unscored.MONITOR_ERROR,
        lambda step: replace(step, tripped=np.array([True, False])),
    ),
    "hold": (Unscored.UNKNOWN_DECISION, lambda step: replace(step, decision=Decision.HOLD)),
    "monitor raises": (
        Unscored.MONITOR_ERROR,
        lambda step: EngineFailure("monitor_error", "a probe raised"),
    ),
    "engine dies": (Unscored.ENGINE_DEAD, lambda step: EngineFailure("engine_dead", "gone")),
    "engine ends early": (Unscored.ENGINE_FAILURE, lambda step: StopAsyncIteration()),
    "a bug": (Unscored.INTERNAL_ERROR, lambda step: KeyError("I took it")),
}


def _like(step: Step, value: float) -> np.ndarray:
    assert step.scores is not None
    return np.full_like(step.scores, value)


class Desk:
    """A gate in front of a scripted engine and a real store."""

    def __init__(
        self,
        store: ReviewStore,
        steps: Sequence[Step | Exception],
        *,
        step_timeout_seconds: float = 10,
        **engine: object,
    ) -> None:
        self.store = store
        self.engine = ScriptedEngine(steps=steps, **engine)
        self.registry = CollectorRegistry()
        self.readiness = Readiness(self.engine, step_timeout_seconds=10, unready_seconds=30)
        self.released: list[str] = []
        self.gate = Gate(
            engine=self.engine,
            store=store,
            metrics=Metrics(self.registry),
            readiness=self.readiness,
            step_timeout_seconds=step_timeout_seconds,
            store_timeout_seconds=2,
        )

    def run(self, action: Action = Action.FLAG, *, early: bool = False) -> Run:
        request = GenerationRequest(
            id="r1", prompt_ids=(1, 2, 3), tokens_max=16, action=action, early=early
        )
        order = Order(
            created_at=utc_now(),
            arrived_seconds=time.monotonic(),
            route="/v1/chat/completions",
            messages=(Message(role="user", content="Where is the jar?"),),
            request=request,
        )
        return Run(self.gate, order)

    def answer(self, action: Action = Action.FLAG, *, early: bool = False) -> Answer:
        return asyncio.run(self.run(action, early=early).answer(self.keep))

    async def keep(self, text: str) -> None:
        self.released.append(text)

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def ended(self, outcome: str, reason: str) -> float:
        route = "/v1/chat/completions"
        return self.count("probewatch_answers_total", route=route, outcome=outcome, reason=reason)


def the_flag(store: ReviewStore) -> Flag:
    case = store.case(store.cases().cases[0].id)
    assert case is not None
    return case.flag


@contextmanager
def write_locked(path: Path) -> Iterator[None]:
    """Another process holds the database's write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_every_scored_token_below_the_threshold_is_released(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS))

    answer = desk.answer()

    assert desk.released == list(WORDS)
    assert (answer.receipt.scored, answer.receipt.released) == (4, 4)
    assert desk.ended("scored", "") == 1


@pytest.mark.parametrize(("reason", "spoil"), FAILURES.values(), ids=list(FAILURES))
def test_nothing_leaves_from_the_token_on_whose_score_is_in_doubt(
    store: ReviewStore, reason: Unscored, spoil: Callable[[Step], Step | Exception]
) -> None:
    """`nan >= threshold` is False: what is no score must never become a pass."""
    steps = script(*WORDS)
    desk = Desk(store, [steps[0], spoil(steps[1]), *steps[2:]])

    with pytest.raises(Withheld) as withheld:
        desk.answer()

    assert withheld.value.reason is reason
    assert desk.released == ["I"]
    assert desk.ended("unscored", reason.value) == 1
    assert desk.count("probewatch_monitor_failures_total", reason=reason.value) == 1
    assert desk.readiness.reasons() == [reason.value]
    record = store.request("r1")
    assert record is not None
    assert (record.outcome, record.reason, record.tokens_released) == ("unscored", reason.value, 1)


def test_an_engine_that_hangs_is_given_up_after_the_step_timeout(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS)[:2], hang=True, step_timeout_seconds=0.1)

    with pytest.raises(Withheld, match="no scored token came in time"):
        desk.answer()

    assert desk.released == ["I", " took"]
    assert "step_timeout" in desk.readiness.reasons()


def test_halt_ends_the_answer_before_the_crossing_token(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS, above=2))

    answer = desk.answer(Action.HALT)

    assert desk.released == ["I", " took"]
    assert answer.finish_reason == "content_filter"
    assert (answer.receipt.scored, answer.receipt.released) == (3, 2)
    assert answer.receipt.decision == "halt"
    flag = the_flag(store)
    assert (flag.step, flag.answer_so_far, flag.decision) == (2, "I took it", Decision.HALT)


def test_a_flag_is_in_the_store_before_its_token_leaves(store: ReviewStore) -> None:
    """A crash between release and commit would lose the flag for good."""
    desk = Desk(store, script(*WORDS, above=2))
    queue_at_release: list[int] = []

    async def look(text: str) -> None:
        queue_at_release.append(len(store.cases().cases))

    asyncio.run(desk.run(Action.FLAG).answer(look))

    assert queue_at_release == [0, 0, 1, 1]


def test_a_flagged_answer_that_goes_on_is_whole_in_its_case(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS, above=1))

    answer = desk.answer(Action.FLAG)

    flag = the_flag(store)
    assert desk.released == list(WORDS)
    assert (flag.answer_so_far, len(flag.tokens), flag.step) == ("I took it.", 4, 1)
    assert (flag.probe, flag.probe_version, flag.statistic) == ("petty", "1", 2.0)
    assert answer.receipt.decision == "flag"


def test_a_flagged_answer_that_breaks_off_is_kept_as_far_as_it_was_read(
    store: ReviewStore,
) -> None:
    """What left after the flag is what an auditor has to see, however the answer ended."""
    steps = [*script(*WORDS, above=1)[:3], EngineFailure("engine_dead", "gone")]
    desk = Desk(store, steps)

    with pytest.raises(Withheld):
        desk.answer(Action.FLAG)

    assert desk.released == ["I", " took", " it"]
    assert the_flag(store).answer_so_far == "I took it"


def test_a_locked_database_withholds_the_token_that_needs_a_flag(
    store: ReviewStore, tmp_path: Path
) -> None:
    desk = Desk(store, script(*WORDS, above=2))

    with write_locked(tmp_path / "review.db"), pytest.raises(Withheld) as withheld:
        desk.answer(Action.FLAG)

    assert withheld.value.reason is Unscored.STORE_UNAVAILABLE
    assert desk.released == ["I", " took"]
    assert desk.ended("unscored", "store_unavailable") == 1


def test_no_answer_ends_well_without_its_record(store: ReviewStore, tmp_path: Path) -> None:
    desk = Desk(store, script(*WORDS))

    with write_locked(tmp_path / "review.db"), pytest.raises(Withheld):
        desk.answer()

    assert desk.ended("scored", "") == 0
    assert desk.ended("unscored", "store_unavailable") == 1


def test_a_store_that_never_returns_does_not_hold_an_answer_for_ever(store: ReviewStore) -> None:
    """A hanging disk cannot be had in a test; this double sleeps in place of it."""

    class Stuck(ReviewStore):
        def commit_flag(self, flag: object) -> None:  # type: ignore[override]
            time.sleep(1)

    desk = Desk(store, script(*WORDS, above=2))
    desk.gate.store = Stuck(store._database)
    desk.gate.store_timeout_seconds = 0.05

    with pytest.raises(Withheld) as withheld:
        desk.answer(Action.FLAG)

    assert withheld.value.reason is Unscored.STORE_UNAVAILABLE
    assert desk.released == ["I", " took"]


def test_observe_records_the_crossing_and_queues_nothing(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS, above=2))

    answer = desk.answer(Action.OBSERVE)

    record = store.request("r1")
    assert record is not None
    assert (record.tripped_at, record.decision) == (2, Decision.PASS)
    assert (answer.tripped, store.cases().cases) == ({"petty": True}, ())
    labels = {"probe": "petty", "role": "champion", "action": "observe"}
    assert desk.count("probewatch_threshold_crossings_total", **labels) == 1


def test_a_challenger_counts_and_never_decides(store: ReviewStore) -> None:
    over = np.array([False, True])
    steps = [replace(s, tripped=over, peaks=np.array([-2, 2], np.float32)) for s in script(*WORDS)]
    desk = Desk(store, steps)

    answer = desk.answer(Action.HALT)

    assert answer.tripped == {"petty": False}, "a shadow records, and tells a client nothing"
    labels = {"probe": "shadow", "role": "challenger", "action": "halt"}
    assert desk.count("probewatch_threshold_crossings_total", **labels) == 1
    record = store.request("r1")
    assert record is not None
    assert record.tripped_at is None


def test_an_answer_of_no_tokens_is_scored(store: ReviewStore) -> None:
    nothing = replace(script("")[0], scores=None, statistics=None, peaks=None, tripped=None)
    desk = Desk(store, [nothing])

    answer = desk.answer()

    assert (answer.finish_reason, answer.tokens, desk.released) == ("stop", 0, [])
    assert desk.ended("scored", "") == 1


def test_immediate_counts_what_left_before_its_score(store: ReviewStore) -> None:
    scored = script(*WORDS, above=1)
    early = [replace(s, scores=None, finish_reason=None, decision=Decision.PASS) for s in scored]
    silent = [replace(s, text="") for s in scored]
    steps = [early[0], early[1], silent[0], early[2], silent[1]]
    desk = Desk(store, steps)

    answer = desk.answer(Action.HALT, early=True)

    assert desk.released == ["I", " took", " it"]
    assert answer.receipt.released_unscored == 3
    assert answer.receipt.scored == 2
    assert the_flag(store).answer_so_far == "I took"


def test_text_held_back_to_the_end_leaves_once_under_immediate(store: ReviewStore) -> None:
    first, last = script("I", ".")
    early = [replace(s, scores=None, text=t, finish_reason=None) for s, t in
             ((first, "I"), (last, ""))]  # fmt: skip
    desk = Desk(store, [early[0], replace(first, text=""), early[1], last])

    answer = desk.answer(early=True)

    assert "".join(desk.released) == "I."
    assert (answer.receipt.released, answer.receipt.scored) == (2, 2)


def test_a_cancelled_run_stops_within_two_tokens_and_is_recorded(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS * 3), pause_seconds=0.01)

    async def leave_after_two() -> None:
        run = desk.run()

        async def release(text: str) -> None:
            desk.released.append(text)
            if len(desk.released) == 2:
                run.cancel(Unscored.CLIENT_DISCONNECTED)

        await run.answer(release)

    with pytest.raises(Withheld, match="client went away"):
        asyncio.run(leave_after_two())

    assert desk.engine.streams[0].handed_out <= 4
    record = store.request("r1")
    assert record is not None
    assert record.reason == "client_disconnected"
    assert desk.readiness.reasons() == [], "a client that leaves is no failure of the watch"


def test_a_later_success_makes_the_service_ready_again(store: ReviewStore) -> None:
    desk = Desk(store, [EngineFailure("monitor_error", "once")])
    with pytest.raises(Withheld):
        desk.answer()
    desk.engine.steps = script(*WORDS)

    desk.answer()

    assert desk.readiness.reasons() == []


def test_logs_of_a_failure_hold_no_text(
    store: ReviewStore, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(store, [KeyError("Where is the jar?")])

    with pytest.raises(Withheld):
        desk.answer()

    assert "KeyError" in caplog.text
    assert "jar" not in caplog.text


def test_latencies_are_counted_once_per_release(store: ReviewStore) -> None:
    desk = Desk(store, script(*WORDS))

    desk.answer()

    assert desk.count("probewatch_time_to_first_token_seconds_count") == 1
    assert desk.count("probewatch_inter_token_latency_seconds_count") == 3
