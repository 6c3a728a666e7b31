"""Who stands before a page, and whether they may have it. Every page goes through here.

A page is a `Place`: for each method who it is for, and what answers. `endpoint` is the only
way to make a route of it, so a page that nobody thought about is for nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qsl, urlencode

from anyio import CapacityLimiter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.asking import in_time
from service.people.person import Session
from service.people.roles import Act, may
from service.refusals import Refusal
from service.settings import Settings
from service.web.entering import Caller, Gatehouse
from service.web.pages import PAGES, secured, strict_transport

COOKIE = "__Host-probewatch-session"
FORM_BYTES_MAX = 16_384
FIELDS_MAX = 20
LOGIN = f"{PAGES}/login"


class Door(Enum):
    """Who a page is for, where that is not a matter of rights."""

    OPEN = "open"
    """Everybody: one cannot be logged in before logging in."""
    SESSION = "session"
    """Whoever is logged in, whatever their role."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What pages work with."""

    settings: Settings
    """Among them the address under which people reach us."""
    gatehouse: Gatehouse
    """The store, and how people log in."""
    hashing: CapacityLimiter
    """How many passwords are hashed at once: each takes 64 MiB and all cores for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request to a page."""

    request: Request
    """As it came."""
    desk: Desk
    """What there is to work with."""
    session: Session | None
    """Who it is; None where nobody is logged in, which only open pages ever see."""

    @property
    def known(self) -> Session:
        """The session of a page that is not open."""
        assert self.session is not None
        return self.session

    @property
    def caller(self) -> Caller:
        """Where it comes from."""
        client = self.request.client
        return Caller(
            address=client.host if client else "unknown", session=self.request.cookies.get(COOKIE)
        )

    def may(self, act: Act) -> bool:
        """Whether this visitor may do that."""
        return self.session is not None and may(self.session.person.role, act)


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Place:
    """A page: its path, and for each method who it is for and what answers."""

    path: str
    """The route's template."""
    methods: Mapping[str, tuple[Act | Door, Handler]]
    """GET and POST; HEAD is answered as GET is."""


def endpoint(place: Place, desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """What answers at a place, behind its guard."""

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        needs, handler = place.methods[method]
        if method != "GET" and not is_same_origin(request.headers, desk.settings.public_url):
            raise _ELSEWHERE
        visit = Visit(request=request, desk=desk, session=await _session(request, desk))
        turned_away = _turned_away(visit, method, needs)
        response = turned_away or await handler(visit)
        if desk.settings.public_url.startswith("https:"):
            strict_transport(response)
        return secured(response)

    return answer


def is_same_origin(headers: Headers, public_url: str) -> bool:
    """Whether a page of ours sent this request.

    A browser says in `Sec-Fetch-Site` where a request comes from, and no page can change
    that. Where it is absent, `Origin` must be the address under which we are reached.
    """
    told = headers.getlist("sec-fetch-site")
    if told:
        return told == ["same-origin"]
    host = headers.get("host", "")
    ours = {public_url} if public_url else {f"http://{host}", f"https://{host}"}
    return bool(host) and headers.getlist("origin") in [[origin] for origin in ours]


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, each once.

    Raises:
        Refusal: 415 for another type, 413 when too large, 400 where it is no form of ours.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refusal(415, "unsupported_media_type", "send this form from its page")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES_MAX:
            raise Refusal(413, "body_too_large", "this form is too long; shorten what you wrote")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise _BAD_FORM from None
    if len(dict(pairs)) != len(pairs):
        raise _BAD_FORM
    return dict(pairs)


def to(path: str) -> Response:
    """Send the browser on to another page of ours."""
    return RedirectResponse(path, status_code=303)


def with_session(response: Response, token: str) -> Response:
    """Give the browser its cookie: sent over TLS or loopback only, never to scripts or others."""
    response.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="strict", path="/")
    return response


def without_session(response: Response) -> Response:
    """Take the cookie back."""
    response.set_cookie(
        COOKIE, "", max_age=0, secure=True, httponly=True, samesite="strict", path="/"
    )
    return response


async def _session(request: Request, desk: Desk) -> Session | None:
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    gatehouse = desk.gatehouse
    timeout_seconds = desk.settings.store_timeout_seconds
    return await in_time(timeout_seconds, gatehouse.store.sessions.holder, token, gatehouse.limits)


def _turned_away(visit: Visit, method: str, needs: Act | Door) -> Response | None:
    """Where somebody is sent who is not logged in; None for whoever may go on.

    Raises:
        Refusal: they are logged in and may not, or were to change something without a session.
    """
    if needs is Door.OPEN:
        return None
    if visit.session is None:
        if method != "GET":
            raise _NO_SESSION
        path = visit.request.url.path
        return to(LOGIN if path == PAGES else f"{LOGIN}?{urlencode({'next': path})}")
    if isinstance(needs, Act) and not visit.may(needs):
        raise _NOT_YOURS
    return None


_ELSEWHERE = Refusal(
    403,
    "cross_site",
    "this request did not come from a page of this service, so nothing was changed; "
    "go to the page and do it there",
)
_NO_SESSION = Refusal(
    403, "no_session", "you are not logged in any more, so nothing was changed; log in again"
)
_NOT_YOURS = Refusal(
    403, "not_allowed", "your role does not allow this; somebody with the role admin can change it"
)
_BAD_FORM = Refusal(400, "invalid_form", "this is no form of ours; load the page again")
