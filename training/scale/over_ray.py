"""The same work over Ray Data: actors on any number of machines, each holding a model.

Ray is an extra and is imported when it is asked for. Where a cluster is named by
RAY_ADDRESS, Ray joins it; else it starts one on this machine. Model, probes, archive and
cache must lie where every machine sees them under the same path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.scale.crew import Done, Item, Refused, Result, Task, attempt, result_of
from training.scale.errors import RayMissing, WorkerDied

RETRIES = 2
"""A machine may be lost; an item that ends its worker each time must not try for ever."""


@dataclass(frozen=True, slots=True)
class OverRay:
    """So many actors; see `Crew`."""

    count: int
    """How many."""

    def work(self, task: Task[Item, Result], items: Sequence[Item]) -> Iterator[Result]:
        """See `Crew`; one block of Ray's per item, so that each is handed on when it is done.

        Raises:
            RayMissing: it is not installed.
        """
        ray = _imported()
        if not items:
            return
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="warning")
        data = ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=len(items)
        ).map_batches(
            _Actor,
            fn_constructor_args=(task,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=self.count),
            max_restarts=RETRIES,
            max_task_retries=RETRIES,
        )
        data.context.execution_options.preserve_order = True
        data.context.enable_progress_bars = False
        try:
            for row in data.iter_rows():
                yield result_of(row["outcome"])
        except ray.exceptions.RayActorError as error:
            raise WorkerDied(self.count) from error


class _Actor:
    """Does the task with one item after another; its process keeps what the task opened."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self._task = task

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Done[Any] | Refused]]:
        return {"outcome": [attempt(self._task, item) for item in batch["item"]]}


def _imported() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RayMissing(str(error)) from error
    return ray
