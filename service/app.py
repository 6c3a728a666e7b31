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
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from probing.errors import PromptTooLong, TemplateError
from service.anchoring import Anchoring, targets_of
from service.asking import Remembered
from service.auth import Doorkeeper, require_keys
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
from service.web.routes import review_routes

log = logging.getLogger(__name__)

RENDERING_MAX = 2
"""Prompts that are tokenized at once; fewer than the threads that there are at the least."""


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
    cases_open = Remembered(
        lambda: store.counts()[CaseState.OPEN], timeout_seconds=settings.store_timeout_seconds
    )
    registry.register(LiveMetrics(engine, readiness, lambda: cases_open.latest))
    anchoring = Anchoring(
        store.audit.head,
        targets_of(settings),
        metrics,
        every_seconds=settings.audit_anchor_minutes * 60,
        timeout_seconds=settings.audit_anchor_timeout_seconds,
    )
    app = FastAPI(
        routes=_routes(shift, store, metrics, cases_open),
        lifespan=_lifespan(shift, store, anchoring),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.shift = shift
    _add_guards(app, settings, store, metrics)
    return app


def _lifespan(
    shift: Shift, store: ReviewStore, anchoring: Anchoring
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        require_keys(shift.settings, store.keys)
        if not shift.engine.health().alive:
            shift.engine.start()
        async with anchoring.running():
            yield
            await shift.drain()
        await asyncio.to_thread(shift.engine.close)

    return lifespan


def _routes(
    shift: Shift, store: ReviewStore, metrics: Metrics, cases_open: Remembered[int]
) -> list[BaseRoute]:
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
    desk = Desk(
        settings=settings,
        gate=gate,
        supervisor=shift.supervisor,
        started=int(time.time()),
        rendering=asyncio.Semaphore(RENDERING_MAX),
    )
    health = health_routes(
        readiness=shift.readiness,
        commits=Remembered(lambda: _commits(store), timeout_seconds=settings.store_timeout_seconds),
        cases_open=cases_open,
        registry=metrics.registry,
    )
    monitor = monitor_routes(
        shift.engine, store, store_timeout_seconds=settings.store_timeout_seconds
    )
    watched = openai_routes(desk), monitor, health
    routes = [route for router in watched for route in router.routes]
    return [_with_head(route) for route in (*routes, *review_routes(settings, store))]


def _with_head(route: BaseRoute) -> BaseRoute:
    """What answers GET answers HEAD too, and the server keeps the body back."""
    if isinstance(route, Route) and route.methods and "GET" in route.methods:
        route.methods.add("HEAD")
    return route


def _add_guards(app: FastAPI, settings: Settings, store: ReviewStore, metrics: Metrics) -> None:
    async def tell(request: Request, error: Exception) -> Response:
        refusal = _http_refusal(error) if isinstance(error, HTTPException) else refusal_of(error)
        metrics.refused.labels(refusal.code).inc()
        return refusal_response(refusal, request.url.path)

    for kind in (Refusal, PromptTooLong, TemplateError, RequestRefused, StoreError, HTTPException):
        app.add_exception_handler(kind, tell)
    app.add_middleware(
        Doorkeeper,
        settings=settings,
        keys=store.keys,
        metrics=metrics,
    )
    app.add_middleware(LastResort, metrics=metrics)


def _http_refusal(error: HTTPException) -> Refusal:
    if error.status_code == 404:
        return Refusal(404, "unknown_route", "no such route; docs/api.md lists them all")
    allow = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    message = f"this route does not take that method; it takes {allow}"
    return Refusal(error.status_code, "bad_method", message, allow=allow)


def _commits(store: ReviewStore) -> bool:
    store.check()
    return True


class LastResort:
    """Answers 500 for a fault that nobody foresaw, and logs its place without its message.

    An exception's message can quote the text that was being handled. A client that leaves
    while it sends is no fault, and nobody is left to be told.
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
        except ClientDisconnect:
            return
        except Exception as fault:
            frames = "".join(traceback.format_tb(fault.__traceback__))
            log.error("internal error %s at\n%s", type(fault).__name__, frames)
            refusal = refusal_of(fault)
            self._metrics.refused.labels(refusal.code).inc()
            if not begun:
                await refusal_response(refusal, scope["path"])(scope, receive, send)
