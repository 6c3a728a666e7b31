"""One thread for what a second would only slow down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from probing.model import LoadedModel
from probing.reader import Reader
from service.engines.threads import LONG_STEP_SECONDS, StepThreads

Tiny = Callable[[str], LoadedModel]
ALL = 3


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(ALL)
    yield
    torch.set_num_threads(before)


def tried(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int, int], float]
) -> StepThreads:
    """As if steps of so many rows on so many threads took so long."""
    monkeypatch.setattr(
        StepThreads, "_seconds", lambda self, reader, rows, threads: seconds(rows, threads)
    )
    threads = StepThreads()
    threads.try_out(Reader(tiny("gpt2"), ()), 32)
    return threads


def lasting(rows: int, threads: int) -> float:
    """Seconds of a step: one thread is quicker to wake, and slower where there is much to do."""
    return 0.001 * rows if threads == 1 else 0.006 + 0.001 * rows / ALL


def test_one_thread_serves_as_many_rows_as_it_serves_faster(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tried(tiny, monkeypatch, lasting).rows_alone == 16


@pytest.mark.parametrize(("disturbed", "by"), [((1, 1), 20), ((32, ALL), 2)])
def test_a_trial_that_was_disturbed_does_not_decide(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, disturbed: tuple[int, int], by: int
) -> None:
    """Two engines of one model on one machine would choose differently."""
    trials = []

    def seconds(rows: int, threads: int) -> float:
        trials.append((rows, threads))
        first = trials.count(disturbed) == 1 and trials[-1] == disturbed
        return lasting(rows, threads) * (by if first else 1)

    assert tried(tiny, monkeypatch, seconds).rows_alone == 16


def test_a_large_model_gets_all_threads_after_one_trial(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further trial would hold up its first request by seconds."""
    trials = []

    def seconds(rows: int, threads: int) -> float:
        trials.append(rows)
        return 2 * LONG_STEP_SECONDS

    assert tried(tiny, monkeypatch, seconds).rows_alone == 0
    assert trials == [1]


def test_the_setting_is_back_after_a_step_that_failed() -> None:
    """Another engine in this process would be left with one thread for good."""
    threads = StepThreads()
    threads.rows_alone = 4

    def step() -> None:
        with threads.chosen_for(4):
            raise ValueError(f"a step on {torch.get_num_threads()} thread")

    with pytest.raises(ValueError, match="on 1 thread"):
        step()
    assert torch.get_num_threads() == ALL

    with threads.chosen_for(5):
        assert torch.get_num_threads() == ALL


def test_a_trial_on_a_real_model_leaves_the_setting_alone(tiny: Tiny) -> None:
    threads = StepThreads()
    with Reader(tiny("gpt2"), ()) as reader:
        threads.try_out(reader, 4)

    assert threads.rows_alone in (0, 1, 2, 4)
    assert torch.get_num_threads() == ALL
