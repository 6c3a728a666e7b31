"""Several processes do what one would do, and say what it would say."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from training.errors import NonFiniteReading
from training.scale.crew import Processes
from training.scale.errors import WorkerDied

CREW = Processes(2)


@dataclass(frozen=True)
class Doubling:
    """Doubles; fails at what it is told to."""

    refused: int = -1
    deadly: int = -1

    def open(self) -> Callable[[int], tuple[int, int]]:
        opened = [0]

        def work(item: int) -> tuple[int, int]:
            if item == self.refused:
                raise NonFiniteReading(f"line {item}", "blocks.0.hook_resid_post")
            if item == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            opened[0] += 1
            return 2 * item, opened[0]

        return work


def test_results_come_in_the_order_of_the_items_and_a_worker_opens_once() -> None:
    """A model that is loaded for every shard would take longer than reading it."""
    found = list(CREW.work(Doubling(), range(9)))

    assert [double for double, _ in found] == [2 * n for n in range(9)]
    assert max(count for _, count in found) >= 5, "nine items, two workers, each opened once"


def test_nothing_to_do_is_done_at_once() -> None:
    """A finished run that is resumed has no items."""
    assert list(CREW.work(Doubling(), [])) == []


def test_what_a_worker_refuses_with_is_told_as_one_process_would_tell_it() -> None:
    """An error whose message is made of its fields does not survive being sent."""
    with pytest.raises(NonFiniteReading, match="line 3: the reading at blocks") as caught:
        list(CREW.work(Doubling(refused=3), range(5)))

    assert (caught.value.where, caught.value.site) == ("line 3", "blocks.0.hook_resid_post")


def test_a_worker_that_is_killed_is_told_in_one_sentence() -> None:
    with pytest.raises(WorkerDied, match="run the same command again"):
        list(CREW.work(Doubling(deadly=2), range(5)))
