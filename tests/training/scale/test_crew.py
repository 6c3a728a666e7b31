"""Several processes do what one would do, and say what it would say."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from training.errors import NonFiniteReading
from training.scale.crew import Done, Processes, attempt
from training.scale.errors import WorkerDied

CREW = Processes(2)
WAIT_SECONDS = 20.0


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


@dataclass(frozen=True)
class Waiting:
    """Some items wait for a file, which another may bring."""

    file: Path
    waiting: tuple[int, ...]
    bringing: int = -1

    def open(self) -> Callable[[int], int]:
        def work(item: int) -> int:
            end = time.monotonic() + WAIT_SECONDS
            if item == self.bringing:
                self.file.touch()
            while item in self.waiting and not self.file.exists():
                assert time.monotonic() < end, f"item {item} waited in vain"
                time.sleep(0.2)
            return item

        return work


def test_results_come_in_the_order_of_the_items_and_a_worker_opens_once() -> None:
    """A model that is loaded for every shard would take longer than reading it."""
    found = list(CREW.work(Doubling(), range(9)))

    assert [double for double, _ in found] == [2 * n for n in range(9)]
    assert max(count for _, count in found) >= 5, "nine items, two workers, each opened once"


def test_an_item_that_is_overtaken_still_comes_first(tmp_path: Path) -> None:
    """The output has the archive's order, and a resumed run goes by it."""
    task = Waiting(tmp_path / "file", waiting=(0,), bringing=1)

    assert list(CREW.work(task, range(3))) == [0, 1, 2]


def test_a_result_is_handed_on_while_others_are_worked_on(tmp_path: Path) -> None:
    """Kept back until the end, all of it would be lost with the last worker."""
    task = Waiting(tmp_path / "file", waiting=(1, 2))
    found = CREW.work(task, range(3))

    first = next(found)
    task.file.touch()

    assert [first, *found] == [0, 1, 2]


def test_a_worker_holds_what_one_task_opened_alone() -> None:
    """There may be memory for one model."""
    one, other = Doubling(refused=100), Doubling(refused=200)

    done = [attempt(task, 4) for task in (one, one, other, one)]

    assert done == [Done((8, 1)), Done((8, 2)), Done((8, 1)), Done((8, 1))]


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
