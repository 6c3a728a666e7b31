"""`/livez`, `/readyz` and `/metrics`: how the service is, never what was said."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service.asking import Remembered
from service.readiness import Readiness
from service.reasons import Unscored
from service.replies import json_response


def health_routes(
    *,
    readiness: Readiness,
    commits: Remembered[bool],
    cases_open: Remembered[int],
    registry: CollectorRegistry,
) -> APIRouter:
    """The process, its readiness to score and to keep records, and its counters."""
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> Response:
        return json_response({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> Response:
        reasons = readiness.reasons()
        if not await commits.answer():
            reasons = list(dict.fromkeys([*reasons, Unscored.STORE_UNAVAILABLE.value]))
        status = "unready" if reasons else "ready"
        return json_response({"status": status, "reasons": reasons}, 503 if reasons else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        await cases_open.answer()
        text = await run_in_threadpool(generate_latest, registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router
