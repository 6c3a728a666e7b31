"""What each error means over HTTP, in one table.

`/v1/...` speaks OpenAI's error object, `/v1/monitor/...` speaks problem details
(RFC 9457). Neither ever repeats a client's text: messages are about the form.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from probing.errors import PromptTooLong, TemplateError
from service.engines.protocol import EngineFailure, QueueFull, RequestRefused
from service.reasons import Unscored, Withheld
from service.store.errors import DamagedRow, StoreError


class Refusal(Exception):
    """An HTTP answer that is no success, with its code and its next step."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.param, self.retry_after_seconds, self.allow = param, retry_after_seconds, allow

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` where waiting helps, `Allow` where another method does."""
        headers = {}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_seconds)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.allow is not None:
            headers["allow"] = self.allow
        return headers

    def as_openai(self) -> dict[str, Any]:
        """The body on OpenAI's routes; all four members are always there."""
        error = {"message": self.message, "type": _TYPES.get(self.status, "invalid_request_error")}
        return {"error": {**error, "param": self.param, "code": self.code}}

    def as_problem(self) -> dict[str, Any]:
        """The body on our own routes."""
        title = HTTPStatus(self.status).phrase
        problem = {"type": "about:blank", "title": title, "status": self.status}
        return {**problem, "detail": self.message, "code": self.code}


_TYPES = {
    401: "authentication_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


_TEMPLATE_REFUSED = (
    "the model's chat template refuses these messages; check the roles and their order"
)
"""Not the template's own words: a template can quote the message that it refuses."""

_DAMAGED = (
    "this record is stored but cannot be read back, because something else wrote or cut its row; "
    "restore the row from a backup"
)
"""Not the error's own words: they quote what stands in the row."""


def refusal_of(error: BaseException) -> Refusal:
    """How an error is told to a client; one that is not known here is an internal error."""
    match error:
        case Refusal():
            return error
        case Withheld(reason=reason):
            return Refusal(503, reason.value, f"{error}; try again, or see /readyz")
        case QueueFull(retry_after_seconds=wait):
            return Refusal(429, "queue_full", str(error), retry_after_seconds=wait)
        case TemplateError(code=code):
            return Refusal(400, code, _TEMPLATE_REFUSED)
        case RequestRefused(code=code) | PromptTooLong(code=code):
            return Refusal(400, code, str(error))
        case EngineFailure(code=code):
            return Refusal(503, code, f"the engine cannot answer ({code}); see /readyz")
        case DamagedRow(code=code):
            return Refusal(500, code, _DAMAGED)
        case StoreError() | TimeoutError():
            reason = Unscored.STORE_UNAVAILABLE
            return Refusal(503, reason.value, "the review store cannot be reached; see /readyz")
        case _:
            return Refusal(500, "internal_error", "the service failed; its log says where")
