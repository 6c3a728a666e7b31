"""The composition root: the only place where the parts of the service meet.

`create_app` joins parts that are given to it; `assembly.build` makes the real ones
from settings. This module knows neither a model nor torch: the same application
stands in front of any engine.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from probing.errors import PromptTooLong, TemplateError
from service.auth import Doorkeeper, keys_demanded, require_keys
from service.domain import CaseState
from service.engines.protocol import Engine, RequestRefused
from service.gate import Gate
from service.metrics import LiveMetrics, Metrics
from service.readiness import Readiness
from service.refusals import Refusal, refusal_of
from service.replies import refusal_response
from service.routes.health import health_routes
from service.routes.monitor import monitor_routes
from service.routes.openai import Desk, openai_routes
from service.settings import Settings
from service.store.errors import StoreError
from service.store.review import ReviewStore
from service.supervisor import Supervisor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What is needed to end the service in good order."""

    settings: Settings
    engine: Engine
    readiness: Readiness
    supervisor: Supervisor

    async def drain(self) -> None:
        """Turn away what comes, let what runs end for a time, then cut it, on record."""
        self.readiness.draining = True
        await self.supervisor.drain(self.settings.drain_timeout_seconds)
        await self.engine.drain(0)


def create_app(
    settings: Settings, engine: Engine, store: ReviewStore, registry: CollectorRegistry
) -> FastAPI:
    """Join the parts into a web application with a closed list of routes.

    The application starts the engine when it starts, and drains and closes it
    when it ends; the store stays open for whoever opened it.
    """
    metrics = Metrics(registry)
    readiness = Readiness(
        engine,
        step_timeout_seconds=settings.step_timeout_seconds,
        unready_seconds=settings.unready_seconds,
    )
    shift = Shift(settings=settings, engine=engine, readiness=readiness, supervisor=Supervisor())
    registry.register(LiveMetrics(engine, readiness, lambda: _cases_open(store)))
    app = FastAPI(
        routes=_routes(shift, store, metrics),
        lifespan=_lifespan(shift, store),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.shift = shift
    _add_guards(app, settings, store, metrics)
    return app


def _lifespan(
    shift: Shift, store: ReviewStore
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        require_keys(shift.settings, store.keys)
        if not shift.engine.health().alive:
            shift.engine.start()
        yield
        await shift.drain()
        await asyncio.to_thread(shift.engine.close)

    return lifespan


def _routes(shift: Shift, store: ReviewStore, metrics: Metrics) -> list[BaseRoute]:
    """All that is answered, as one flat list; a test holds every entry against its kind."""
    settings = shift.settings
    gate = Gate(
        engine=shift.engine,
        store=store,
        metrics=metrics,
        readiness=shift.readiness,
        step_timeout_seconds=settings.step_timeout_seconds,
        store_timeout_seconds=settings.store_timeout_seconds,
    )
    desk = Desk(settings=settings, gate=gate, supervisor=shift.supervisor, started=int(time.time()))
    health = health_routes(
        readiness=shift.readiness,
        store=store,
        registry=metrics.registry,
        store_timeout_seconds=settings.store_timeout_seconds,
    )
    watched = openai_routes(desk), monitor_routes(shift.engine, store), health
    return [route for router in watched for route in router.routes]


def _add_guards(app: FastAPI, settings: Settings, store: ReviewStore, metrics: Metrics) -> None:
    async def tell(request: Request, error: Exception) -> Response:
        refusal = _http_refusal(error) if isinstance(error, HTTPException) else refusal_of(error)
        metrics.refused.labels(refusal.code).inc()
        return refusal_response(refusal, request.url.path)

    for kind in (Refusal, PromptTooLong, TemplateError, RequestRefused, StoreError, HTTPException):
        app.add_exception_handler(kind, tell)
    app.add_middleware(
        Doorkeeper,
        keys=store.keys,
        demanded=keys_demanded(settings),
        on_loopback=settings.on_loopback,
        metrics=metrics,
    )
    app.add_middleware(LastResort, metrics=metrics)


def _http_refusal(error: HTTPException) -> Refusal:
    if error.status_code == 404:
        return Refusal(404, "unknown_route", "no such route; docs/api.md lists them all")
    return Refusal(error.status_code, "bad_method", "this route does not take that method")


def _cases_open(store: ReviewStore) -> int | None:
    try:
        return store.counts()[CaseState.OPEN]
    except StoreError:
        return None


class LastResort:
    """Answers 500 for a fault that nobody foresaw, and logs its place without its message.

    An exception's message can quote the text that was being handled.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and catch."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, watched)
        except Exception as fault:
            frames = "".join(traceback.format_tb(fault.__traceback__))
            log.error("internal error %s at\n%s", type(fault).__name__, frames)
            refusal = refusal_of(fault)
            self._metrics.refused.labels(refusal.code).inc()
            if not begun:
                await refusal_response(refusal, scope["path"])(scope, receive, send)
