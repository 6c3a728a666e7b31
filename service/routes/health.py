"""`/livez`, `/readyz` and `/metrics`: how the service is, never what was said."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import Response

from service.readiness import Readiness
from service.reasons import Unscored
from service.replies import json_response
from service.store.errors import StoreError
from service.store.review import ReviewStore


def health_routes(
    *,
    readiness: Readiness,
    store: ReviewStore,
    registry: CollectorRegistry,
    store_timeout_seconds: float,
) -> APIRouter:
    """The process, its readiness to score and to keep records, and its counters."""
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> Response:
        return json_response({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> Response:
        reasons = readiness.reasons()
        try:
            async with asyncio.timeout(store_timeout_seconds):
                await asyncio.to_thread(store.check)
        except (StoreError, TimeoutError):
            reasons = list(dict.fromkeys([*reasons, Unscored.STORE_UNAVAILABLE.value]))
        status = "unready" if reasons else "ready"
        return json_response({"status": status, "reasons": reasons}, 503 if reasons else 200)

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
