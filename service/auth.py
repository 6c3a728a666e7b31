"""Who may ask: API keys, and the rule that an address needs them.

On loopback nobody needs a key, because only this machine can connect; there the
`Host` header must name loopback too, so that a web page cannot reach the service
through a name of its own that points here. On any other address every route but
the health checks and the metrics demands a key, and without a single valid key
the service does not start. Where keys are demanded, only one that reviews opens what
is kept of conversations: a client that may chat may not read what others said.

Pages are for people, who log in (`web/visit.py`): there a key is neither asked for nor
enough, on loopback as elsewhere.
"""

from __future__ import annotations

import ipaddress
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.asking import in_time
from service.domain import ApiKey, KeyScope
from service.metrics import Metrics
from service.refusals import Refusal, refusal_of
from service.replies import refusal_response
from service.settings import CannotStart, Settings
from service.store.errors import StoreError
from service.web.pages import is_page

OPEN_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Without a key everywhere: they tell how the service is, never what was said."""

REVIEWING = "/v1/monitor/"
"""Whatever is below this needs a key that reviews, a route that is yet to come included."""

ASKING = frozenset({"/v1/monitor/probes"})
"""What is below it and tells nothing of anybody: a key that asks is enough."""


class KeyBook(Protocol):
    """What this module needs of the store's keys."""

    def holder(self, key: str) -> ApiKey | None:
        """Whose valid key it is, and what it opens."""
        ...

    def list(self) -> tuple[ApiKey, ...]:
        """All keys ever made."""
        ...


class NoKeys(CannotStart):
    """The service was to listen where others can reach it, and anybody could have asked."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"refusing to listen on {host}, because no API key exists and anybody could ask; "
            "make one with `probewatch keys create NAME`, or listen on 127.0.0.1"
        )
        self.host = host


def keys_demanded(settings: Settings) -> bool:
    """Whether requests must carry a key."""
    return settings.keys_required or not settings.on_loopback


def require_keys(settings: Settings, keys: KeyBook) -> None:
    """Refuse to listen where keys are demanded and there is none.

    Raises:
        NoKeys: no valid key exists.
        StoreUnavailable: nobody can tell.
    """
    if keys_demanded(settings) and not any(key.revoked_at is None for key in keys.list()):
        raise NoKeys(settings.host)


class Doorkeeper:
    """Stands before all routes, known and unknown, so that a new one is guarded too."""

    def __init__(
        self, app: ASGIApp, *, settings: Settings, keys: KeyBook, metrics: Metrics
    ) -> None:
        self._app = app
        self._keys = keys
        self._demanded = keys_demanded(settings)
        self._on_loopback = settings.on_loopback
        self._store_timeout_seconds = settings.store_timeout_seconds
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or answer with 401, 403 or 503."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            refusal = await self._refusal(scope["path"], Headers(scope=scope))
            if refusal is not None:
                self._metrics.refused.labels(refusal.code).inc()
                await refusal_response(refusal, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, path: str, headers: Headers) -> Refusal | None:
        if not self._demanded:
            return None if self._on_loopback and _names_loopback(headers) else _FOREIGN_HOST
        if is_page(path):
            return None
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _NO_KEY
        try:
            holder = await in_time(self._store_timeout_seconds, self._keys.holder, key.strip())
        except StoreError as error:
            return refusal_of(error)
        if holder is None:
            return _BAD_KEY
        return None if holder.scope is KeyScope.REVIEW or not _reviews(path) else _NARROW_KEY


def _reviews(path: str) -> bool:
    return path.startswith(REVIEWING) and path not in ASKING


_NO_KEY = Refusal(401, "missing_api_key", "send an API key as `Authorization: Bearer KEY`")
_BAD_KEY = Refusal(401, "invalid_api_key", "this API key is unknown or revoked; ask for a new one")
_NARROW_KEY = Refusal(
    403,
    "insufficient_scope",
    "this API key may ask, but not read what is kept of conversations; "
    "use one made with `probewatch keys create NAME --scope review`",
)
_FOREIGN_HOST = Refusal(
    403, "foreign_host", "without API keys only loopback names may be asked for; use 127.0.0.1"
)


def _names_loopback(headers: Headers) -> bool:
    host = headers.get("host", "").rsplit("]", 1)[0].lstrip("[")
    name = host if ":" in host and host.count(":") > 1 else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
