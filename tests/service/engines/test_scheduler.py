"""Queue, admission and rows, without a model."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from service.engines.answers import Answer
from service.engines.protocol import EngineFailure, QueueFull
from service.engines.scheduler import RETRY_SECONDS_MAX, Limits, Scheduler
from tests.service.engines.serving import Shelf, ask


class Silent:
    """A decoder that says nothing."""

    def push(self, token_id: int) -> str:
        return ""

    def flush(self) -> str:
        return ""


def answer(length: int = 3) -> Answer:
    return Answer(ask(range(length)), Shelf(), Silent(), frozenset(), 999)


def opened(**limits: int) -> Scheduler:
    scheduler = Scheduler(Limits(**limits))
    scheduler.open()
    return scheduler


def run_all(scheduler: Scheduler, answers: list[Answer]) -> None:
    for one in answers:
        scheduler.submit(one)
    while scheduler.admit():
        scheduler.join()


def test_nothing_is_taken_before_the_start_or_after_a_refusal() -> None:
    scheduler = Scheduler(Limits())
    with pytest.raises(EngineFailure, match="not started"):
        scheduler.submit(answer())
    scheduler.open()
    scheduler.submit(answer())
    scheduler.refuse(EngineFailure("draining", "going"))
    with pytest.raises(EngineFailure, match="going"):
        scheduler.submit(answer())

    assert scheduler.waiting == 1


def test_the_queue_holds_what_it_holds() -> None:
    scheduler = opened(rows_max=1, waiting_max=2)
    for _ in range(2):
        scheduler.submit(answer())

    with pytest.raises(QueueFull) as refused:
        scheduler.submit(answer())

    assert 1 <= refused.value.retry_after_seconds <= RETRY_SECONDS_MAX


def test_the_first_in_the_queue_is_admitted_with_those_that_cost_it_no_more_chunks() -> None:
    scheduler = opened(rows_max=4, chunk_tokens=10)
    answers = [answer(n) for n in (25, 400, 7, 26, 9, 3, 2)]
    for one in answers:
        scheduler.submit(one)

    chosen = scheduler.admit()

    assert [len(one.request.prompt_ids) for one in chosen] == [25, 9, 7, 3]
    assert scheduler.admit() == [], "one group at a time"
    scheduler.join()
    assert scheduler.admit() == [], "no row is free"
    assert scheduler.waiting == 3


def test_a_row_that_leaves_is_taken_by_the_last() -> None:
    """The batch and the monitor follow row by row; in another order they would mix answers up."""
    scheduler = opened(rows_max=5)
    answers = [answer() for _ in range(5)]
    run_all(scheduler, answers)

    assert scheduler.leave([1, 3]) == [3, 1]
    assert scheduler.running == [answers[0], answers[4], answers[2]]


def test_who_cancels_while_waiting_is_forgotten() -> None:
    scheduler = opened(rows_max=1)
    answers = [answer() for _ in range(3)]
    for one in answers:
        scheduler.submit(one)
    answers[1].stream.cancelled = True
    scheduler.note_cancel()

    assert scheduler.drop_cancelled() == []
    assert scheduler.waiting == 2


def test_who_cancels_while_being_read_in_is_found_after_joining() -> None:
    scheduler = opened(rows_max=2)
    one = answer()
    scheduler.submit(one)
    scheduler.admit()
    one.stream.cancelled = True
    scheduler.note_cancel()
    assert scheduler.drop_cancelled() == []
    scheduler.join()

    assert scheduler.drop_cancelled() == [0]
    assert not scheduler.busy


def test_a_wake_before_the_wait_is_not_lost() -> None:
    """A close that comes between two beats must not wait for the next request."""
    scheduler = opened()
    waiting = threading.Thread(target=scheduler.wait_for_work, daemon=True)
    scheduler.wake()

    waiting.start()
    waiting.join(timeout=10)

    assert not waiting.is_alive()


@pytest.mark.parametrize("module", ["protocol", "scheduler", "answers", "streams", "detokenize"])
def test_this_part_imports_no_torch(module: str) -> None:
    code = f"import service.engines.{module}, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
