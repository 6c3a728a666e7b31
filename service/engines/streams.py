"""From the engine's thread to the event loops that wait for its steps.

All steps of one forward pass cross over in one call per event loop, because waking
a loop costs more than a token. This module imports no torch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from service.engines.protocol import EngineFailure, Step

Item = Step | EngineFailure


class LocalStream:
    """The steps of one request; lives on the event loop that made it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_cancel: Callable[[], None]) -> None:
        """`on_cancel` is called once at most, on the event loop."""
        self.loop = loop
        self.cancelled = False
        """Read by the engine's thread before every step."""
        self._on_cancel = on_cancel
        self._items: deque[Item] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False

    def __aiter__(self) -> LocalStream:
        return self

    async def __anext__(self) -> Step:
        """The next step; see `protocol.Stream`."""
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            self._waiting = self.loop.create_future()
            await self._waiting
        item = self._items.popleft()
        if isinstance(item, Step):
            return item
        raise item

    def cancel(self) -> None:
        """Drop what has not been taken yet and free the row; whoever waits gets `cancelled`."""
        if self._ended:
            return
        self.cancelled = True
        self._items.clear()
        self.receive(EngineFailure("cancelled", "the request was cancelled"))
        self._on_cancel()

    def receive(self, item: Item) -> None:
        """Take in what comes next; on the event loop only. After the end nothing does."""
        if self._ended:
            return
        self._items.append(item)
        self._ended = isinstance(item, EngineFailure) or item.finish_reason is not None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Outbox:
    """Collects what one forward pass gave and hands it over."""

    def __init__(self) -> None:
        self._parcels: dict[asyncio.AbstractEventLoop, list[tuple[LocalStream, Item]]] = {}

    def put(self, stream: LocalStream, item: Item) -> None:
        """Add an item for a stream."""
        self._parcels.setdefault(stream.loop, []).append((stream, item))

    def send(self) -> bool:
        """Hand everything over, one call per event loop.

        Returns:
            False where a loop is closed: nobody can read its streams, so they are cancelled.
        """
        parcels, self._parcels = self._parcels, {}
        delivered = True
        for loop, parcel in parcels.items():
            try:
                loop.call_soon_threadsafe(_deliver, parcel)
            except RuntimeError:
                delivered = False
                for stream, _ in parcel:
                    stream.cancelled = True
        return delivered


def _deliver(parcel: list[tuple[LocalStream, Item]]) -> None:
    for stream, item in parcel:
        stream.receive(item)
