"""Our own resources under `/v1/monitor`: probes, requests with their scores, cases.

Cases are listed without text; one case has it, for whoever holds a key that reviews.
Errors are problem details (RFC 9457).
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.asking import in_time
from service.domain import Case, CaseState, CaseSummary, RequestRecord, TokenScore
from service.engines.protocol import Engine
from service.refusals import Refusal
from service.replies import json_response
from service.store.review import ReviewStore

PREFIX = "/v1/monitor"
PAGE_DEFAULT, PAGE_MAX = 50, 200


def monitor_routes(
    engine: Engine, store: ReviewStore, *, store_timeout_seconds: float
) -> APIRouter:
    """What the watch saw. Reading and writing out happen in a thread: scores can be many."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/probes")
    async def probes() -> Response:
        return json_response(_probes(engine))

    @router.get("/requests/{request_id}")
    async def request(request_id: str) -> Response:
        return await in_time(store_timeout_seconds, _one_request, store, request_id)

    @router.get("/cases")
    async def cases(request: Request) -> Response:
        return await in_time(store_timeout_seconds, _some_cases, store, _CaseQuery(request))

    @router.get("/cases/{case_id}")
    async def case(case_id: str) -> Response:
        return await in_time(store_timeout_seconds, _one_case, store, case_id)

    return router


def _one_request(store: ReviewStore, request_id: str) -> Response:
    record = store.request(request_id)
    if record is None:
        message = "no such request has ended; further choices are called ID-1, ID-2, ..."
        raise Refusal(404, "unknown_request", message)
    return json_response(_record(record))


def _some_cases(store: ReviewStore, query: _CaseQuery) -> Response:
    page = store.cases(state=query.state, limit=query.limit, before=query.before)
    listed = [_summary(case) for case in page.cases]
    return json_response({"cases": listed, "next": page.next_cursor})


def _one_case(store: ReviewStore, case_id: str) -> Response:
    found = store.case(int(case_id)) if re.fullmatch(r"[0-9]{1,18}", case_id) else None
    if found is None:
        raise Refusal(404, "unknown_case", f"no such case; list them at {PREFIX}/cases")
    return json_response({**_summary(_summarised(found)), **_case_text(found)})


class _CaseQuery:
    """`state`, `limit` and `before` of a list of cases."""

    def __init__(self, request: Request) -> None:
        given = request.query_params
        if given.keys() - {"state", "limit", "before"}:
            message = "an unknown query parameter; there are state, limit and before"
            raise Refusal(400, "invalid_query", message)
        state = given.get("state")
        if state is not None and state not in list(CaseState):
            raise _bad_query("state", f"one of {', '.join(CaseState)}")
        self.state = None if state is None else CaseState(state)
        self.limit = _number(given.get("limit"), "limit", PAGE_MAX) or PAGE_DEFAULT
        self.before = _number(given.get("before"), "before", 2**63 - 1)


def _number(text: str | None, name: str, most: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 1 <= int(text) <= most:
        raise _bad_query(name, f"a whole number from 1 to {most}")
    return int(text)


def _bad_query(name: str, expected: str) -> Refusal:
    return Refusal(400, "invalid_query", f"query parameter {name!r}: {expected}", param=name)


def _probes(engine: Engine) -> dict[str, Any]:
    card = engine.card
    rows = zip(card.probes, card.versions, card.thresholds, card.deciding, strict=True)
    return {
        "probe_set": card.probe_set,
        "model": card.model_name,
        "fingerprint": card.fingerprint,
        "probes": [
            {
                "name": name,
                "version": version,
                "threshold": threshold,
                "role": "champion" if deciding else "challenger",
            }
            for name, version, threshold, deciding in rows
        ],
    }


def _record(record: RequestRecord) -> dict[str, Any]:
    plain = (
        "id model route probe_set release_rule outcome reason tripped_at "
        "tokens_scored tokens_released tokens_released_unscored"
    )
    return {
        **{name: getattr(record, name) for name in plain.split()},
        "created_at": record.created_at.isoformat(),
        "action": record.action.value,
        "decision": record.decision.word,
        "peaks": {name: _finite(peak) for name, peak in record.peaks.items()},
        "probes": list(record.probes),
        "scores": record.scores.tolist(),
    }


def _summary(case: CaseSummary) -> dict[str, Any]:
    return {**asdict(case), "created_at": case.created_at.isoformat()}


def _summarised(case: Case) -> CaseSummary:
    flag = case.flag
    return CaseSummary(
        id=case.id,
        state=case.state.value,
        created_at=case.created_at,
        source=flag.source,
        request_id=flag.request_id,
        model=flag.model,
        probe_set=flag.probe_set,
        probe=flag.probe,
        probe_version=flag.probe_version,
        threshold=flag.threshold,
        statistic=flag.statistic,
        step=flag.step,
        release_rule=flag.release_rule,
        decision=flag.decision.word,
        action=flag.action.value,
    )


def _case_text(case: Case) -> dict[str, Any]:
    flag = case.flag
    return {
        "messages": [message.as_json() for message in flag.messages],
        "answer": flag.answer_so_far,
        "probes": list(flag.probes),
        "tokens": [_token(token) for token in flag.tokens],
    }


def _token(token: TokenScore) -> dict[str, Any]:
    return {
        "position": token.position,
        "text": token.text,
        "scores": list(token.scores),
        "statistics": [_finite(statistic) for statistic in token.statistics],
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity: a statistic that never was is null."""
    return value if math.isfinite(value) else None
