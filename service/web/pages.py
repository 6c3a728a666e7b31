"""From facts to a page: templates that always escape, under a policy that allows nothing else.

Two things each keep foreign text from becoming a program, so that one may fail: the
templates escape all that is put into them, and the policy lets a browser run, load, embed
and submit nothing but what is ours. No page needs a script yet, so the policy also puts the
page into a sandbox without scripts, which also keeps a `<meta>` from leading elsewhere. The
price is `autofocus`. A page that needs scripts gives up `sandbox` and marks each of them with
the response's nonce.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from service.refusals import Refusal
from service.web.shown import parts_of
from service.web.static import address_of_file

PAGES = "/review"
"""Whatever is at or below this is a page, and needs a session instead of a key."""
HTML = "text/html; charset=utf-8"
_HSTS = "max-age=31536000; includeSubDomains"

_FIXED_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), publickey-credentials-get=(), usb=()",
}


def is_page(path: str) -> bool:
    """Whether a path is answered with pages."""
    return path == PAGES or path.startswith(f"{PAGES}/")


def policy(nonce: str) -> str:
    """The content security policy of one response."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "object-src 'none'; sandbox allow-forms allow-same-origin"
    )


def secured(response: Response, nonce: str | None = None) -> Response:
    """The response with every header that keeps it where it belongs."""
    for name, value in _FIXED_HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault(
        "content-security-policy", policy(nonce or secrets.token_urlsafe(16))
    )
    response.headers.setdefault("cache-control", "no-store")
    return response


def page(template: str, facts: Mapping[str, object], *, status: int = 200) -> Response:
    """A page from a template of this package."""
    nonce = secrets.token_urlsafe(16)
    text = environment().get_template(f"{template}.html.jinja").render({**facts, "nonce": nonce})
    body = text.encode("utf-8", "replace")
    return secured(Response(body, status, media_type=HTML), nonce)


def refusal_page(refusal: Refusal) -> Response:
    """What is told instead of a page."""
    response = page("refusal", {"refusal": refusal, "person": None}, status=refusal.status)
    for name, value in refusal.headers.items():
        if name != "www-authenticate":
            response.headers[name] = value
    return response


def strict_transport(response: Response) -> Response:
    """The response, by which a browser remembers to come over TLS only."""
    response.headers["strict-transport-security"] = _HSTS
    return response


@cache
def environment() -> Environment:
    """The templates. Escaping is on for every one of them, whatever its name."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update({"file": address_of_file, "home": PAGES})
    made.filters.update({"parts": parts_of, "day": _day, "words": _words})
    return made


def _day(moment: datetime) -> str:
    """A moment to the minute, in UTC as everything here."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _words(state: str) -> str:
    """A word of ours as people read it."""
    return state.replace("_", " ").replace("-", " ")
