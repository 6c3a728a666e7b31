"""Work for several processes: one task that each opens once, and many items.

A task is plain data, so that it can be sent anywhere; what it opens, a model most of all,
stays in the process that opened it. An error that a worker refuses with comes back as
itself: the person who waits reads the same sentence as if one process had done it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from probing.errors import ProbingError
from training.scale.errors import WorkerDied

Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Task(Protocol[Item_contra, Result_co]):
    """What every worker opens once and then does with one item after another."""

    def open(self) -> Callable[[Item_contra], Result_co]:
        """Load what the work needs, and return what does it."""
        ...

    def __hash__(self) -> int:
        """Equal tasks are one: a worker that meets it again does not open it again."""
        ...


class Crew(Protocol):
    """Several workers."""

    def work(self, task: Task[Item, Result], items: Sequence[Item]) -> Iterator[Result]:
        """Do a task with every item; results in the items' order, each as soon as it can be had.

        Raises:
            WorkerDied: a worker was ended from outside.
            ProbingError: the first that a worker refused with.
        """
        ...


@dataclass(frozen=True, slots=True)
class Processes:
    """So many processes on this machine, which share its cores."""

    count: int
    """How many."""

    def work(self, task: Task[Item, Result], items: Sequence[Item]) -> Iterator[Result]:
        """See `Crew`."""
        calls = (delayed(attempt)(task, item) for item in items)
        try:
            with Parallel(self.count, backend="loky", return_as="generator") as parallel:
                yield from map(result_of, parallel(calls))
        except TerminatedWorkerError as error:
            raise WorkerDied(self.count) from error


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """An item that was worked on."""

    result: Result
    """What the task gave for it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that a worker refused, in parts: an error whose message is made of its
    fields cannot be sent as it is."""

    kind: type[ProbingError]
    """The error's class."""
    told: tuple[Any, ...]
    """Its message."""
    fields: dict[str, Any]
    """Its data."""

    def again(self) -> NoReturn:
        """Raise it here."""
        error = self.kind.__new__(self.kind, *self.told)
        vars(error).update(self.fields)
        raise error


def attempt(task: Task[Item, Result], item: Item) -> Done[Result] | Refused:
    """Do a task with one item, in a worker."""
    try:
        work: Callable[[Item], Result] = _opened(task)
        return Done(work(item))
    except ProbingError as error:
        return Refused(type(error), error.args, vars(error))


def result_of(outcome: Done[Result] | Refused) -> Result:
    """What the worker gave, or the error that it refused with."""
    return outcome.again() if isinstance(outcome, Refused) else outcome.result


@lru_cache(maxsize=1)
def _opened(task: Task[Any, Any]) -> Callable[[Any], Any]:
    """A process holds one task's model, however many items it works on."""
    return task.open()
