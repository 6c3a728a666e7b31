"""The inbox and a case. Neither shows what the probes said: a reviewer judges first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from service.asking import in_time
from service.domain import CaseState
from service.people.roles import Act
from service.refusals import Refusal
from service.web.pages import PAGES, page
from service.web.visit import Visit

CASES_PER_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One of the states by which the inbox can be narrowed."""

    label: str
    """Its words."""
    count: int
    """Cases in it."""
    address: str
    """Where it is."""
    chosen: bool
    """Whether it is what is shown."""


async def inbox(visit: Visit) -> Response:
    """Cases as they stand, newest first, without a word of any conversation."""
    timeout_seconds = visit.desk.settings.store_timeout_seconds
    return await in_time(timeout_seconds, _inbox, visit, *_query(visit))


async def case(visit: Visit) -> Response:
    """One case; its conversation for whoever may read it."""
    number = visit.request.path_params["case_id"]
    if not re.fullmatch(r"[0-9]{1,18}", number):
        raise _NO_CASE
    return await in_time(visit.desk.settings.store_timeout_seconds, _case, visit, int(number))


def _inbox(visit: Visit, state: CaseState | None, before: int | None) -> Response:
    store = visit.desk.gatehouse.store
    found = store.cases(state=state, limit=CASES_PER_PAGE, before=before)
    older = None if found.next_cursor is None else _address(state, found.next_cursor)
    facts = {
        "person": visit.known.person,
        "filters": _filters(store.counts(), state),
        "cases": found.cases,
        "older": older,
        "newest": None if before is None else _address(state, None),
    }
    return page("inbox", facts)


def _case(visit: Visit, number: int) -> Response:
    """Written out in the thread too: a conversation can be megabytes."""
    found = visit.desk.gatehouse.store.case(number)
    if found is None:
        raise _NO_CASE
    readable = visit.may(Act.READ_TEXT)
    facts = {
        "person": visit.known.person,
        "case": found,
        "messages": found.flag.messages if readable else None,
        "answer": found.flag.answer_so_far if readable else None,
    }
    return page("case", facts)


def _filters(counts: dict[CaseState, int], chosen: CaseState | None) -> list[Filter]:
    shown: list[tuple[CaseState | None, str, int]] = [(None, "all", sum(counts.values()))]
    shown += [(state, state.value.replace("_", " "), counts[state]) for state in CaseState]
    return [
        Filter(label=label, count=count, address=_address(state, None), chosen=state is chosen)
        for state, label, count in shown
    ]


def _address(state: CaseState | None, before: int | None) -> str:
    asked = {"state": state.value if state else None, "before": before}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return f"{PAGES}?{query}" if query else PAGES


def _query(visit: Visit) -> tuple[CaseState | None, int | None]:
    given = visit.request.query_params
    if given.keys() - {"state", "before"}:
        raise _bad_query("there are state and before")
    state, before = given.get("state"), given.get("before")
    if state is not None and state not in list(CaseState):
        raise _bad_query(f"state is one of {', '.join(CaseState)}")
    if before is not None and not re.fullmatch(r"[0-9]{1,18}", before):
        raise _bad_query("before is the number of a case")
    return CaseState(state) if state else None, int(before) if before else None


_NO_CASE = Refusal(404, "unknown_case", "there is no such case; the inbox lists them all")


def _bad_query(expected: str) -> Refusal:
    return Refusal(400, "invalid_query", f"this address is not one of ours: {expected}")
