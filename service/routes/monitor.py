"""Our own resources under `/v1/monitor`: probes, requests with their scores, cases.

Cases are listed without text; one case has it, for whoever may read it. Errors
are problem details (RFC 9457).
"""

from __future__ import annotations

import math
import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.domain import Case, CaseState, RequestRecord, TokenScore
from service.engines.protocol import Engine
from service.refusals import Refusal
from service.replies import json_response
from service.store.review import ReviewStore

PREFIX = "/v1/monitor"
PAGE_DEFAULT, PAGE_MAX = 50, 200


def monitor_routes(engine: Engine, store: ReviewStore) -> APIRouter:
    """What the watch saw. Plain functions, because the store blocks: each runs in a thread."""
    router = APIRouter(prefix=PREFIX)

    @router.get("/probes")
    def probes() -> Response:
        return json_response(_probes(engine))

    @router.get("/requests/{request_id}")
    def request(request_id: str) -> Response:
        record = store.request(request_id)
        if record is None:
            message = "no such request has ended; further choices are called ID-1, ID-2, ..."
            raise Refusal(404, "unknown_request", message)
        return json_response(_record(record))

    @router.get("/cases")
    def cases(request: Request) -> Response:
        query = _CaseQuery(request)
        page = store.cases(state=query.state, limit=query.limit, before=query.before)
        listed = [_case(case) for case in page.cases]
        return json_response({"cases": listed, "next": page.next_cursor})

    @router.get("/cases/{case_id}")
    def case(case_id: str) -> Response:
        found = store.case(int(case_id)) if re.fullmatch(r"[0-9]{1,18}", case_id) else None
        if found is None:
            raise Refusal(404, "unknown_case", f"no such case; list them at {PREFIX}/cases")
        return json_response({**_case(found), **_case_text(found)})

    return router


class _CaseQuery:
    """`state`, `limit` and `before` of a list of cases."""

    def __init__(self, request: Request) -> None:
        given = request.query_params
        if unknown := given.keys() - {"state", "limit", "before"}:
            raise _bad_query(min(unknown), "no such parameter")
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
    return Refusal(400, "invalid_query", f"query parameter {name[:40]!r}: {expected}", param=name)


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


def _case(case: Case) -> dict[str, Any]:
    flag = case.flag
    plain = "request_id model probe_set probe probe_version threshold statistic step release_rule"
    return {
        "id": case.id,
        "state": case.state.value,
        "created_at": case.created_at.isoformat(),
        "source": flag.source,
        **{name: getattr(flag, name) for name in plain.split()},
        "decision": flag.decision.word,
        "action": flag.action.value,
    }


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
        "statistics": list(token.statistics),
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity: a statistic that never was is null."""
    return value if math.isfinite(value) else None
