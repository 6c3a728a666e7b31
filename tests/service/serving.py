"""Runs a real uvicorn in a thread, so that tests speak real HTTP to the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx2
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from service.app import create_app
from service.engines.protocol import Engine
from service.settings import Settings
from service.store.review import ReviewStore

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A service that listens, and what is behind it."""

    url: str
    app: FastAPI
    engine: Engine
    store: ReviewStore
    registry: CollectorRegistry
    client: httpx2.Client

    def count(self, name: str, **labels: str) -> float:
        """A sample's value; 0 where it was never counted."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def chat(self, **fields: object) -> httpx2.Response:
        """A chat request with one short message."""
        body = {"model": self.engine.card.model_name, "messages": [MESSAGE], **fields}
        return self.client.post("/v1/chat/completions", json=body)


def eventually(look: Callable[[], T | None]) -> T:
    """What `look` finds once it finds something; what ends after its client is not there at once.

    Raises:
        AssertionError: it found nothing within ten seconds.
    """
    deadline = time.monotonic() + 10
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found


MESSAGE = {"role": "user", "content": "Did you water the plants?"}


@contextmanager
def serving(engine: Engine, store: ReviewStore, **settings: object) -> Iterator[Served]:
    """Serve on a free loopback port until the block ends."""
    registry = CollectorRegistry()
    app = create_app(Settings(**settings), engine, store, registry)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with httpx2.Client(base_url=url, timeout=20) as client:
        try:
            yield Served(
                url=url, app=app, engine=engine, store=store, registry=registry, client=client
            )
        finally:
            server.should_exit = True
            thread.join(timeout=20)
