"""Reading shards, as a task for a crew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from probing.model import LoadedModel
from probing.reader import Reader
from training.scale.model_source import ModelSource
from training.shards import ShardOrder


@dataclass(frozen=True, slots=True)
class Reading:
    """Read and write whole shards with a model of one's own; see `Task`."""

    source: ModelSource
    """The model."""

    @classmethod
    def of(cls, loaded: LoadedModel) -> Reading:
        """With the same model as here.

        Raises:
            ModelInMemory: it cannot be loaded elsewhere.
        """
        return cls(ModelSource.of(loaded))

    def open(self) -> Callable[[ShardOrder], int]:
        """Load the model; what is returned gives the tokens that were read for a shard."""
        loaded = self.source.load()

        def read(order: ShardOrder) -> int:
            with Reader(loaded, order.sites) as reader:
                return sum(order.write(reader))

        return read
