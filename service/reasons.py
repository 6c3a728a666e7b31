"""Why a request ended without a whole scored answer, as a closed list of words.

Metrics label by these words, clients read them as error codes and the runbook
is sorted by them, so a new cause of failure gets a new member here.
"""

from __future__ import annotations

from enum import StrEnum


class Unscored(StrEnum):
    """The reason in `unscored(reason)`; `told` says what each means."""

    MONITOR_ERROR = "monitor_error"
    UNSCORED_STEP = "unscored_step"
    STEP_TIMEOUT = "step_timeout"
    ENGINE_DEAD = "engine_dead"
    ENGINE_FAILURE = "engine_failure"
    UNKNOWN_DECISION = "unknown_decision"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL_ERROR = "internal_error"
    CLIENT_DISCONNECTED = "client_disconnected"
    SIBLING_FAILED = "sibling_failed"
    SHUTDOWN = "shutdown"

    @property
    def told(self) -> str:
        """The reason in words, for an error body."""
        return _TOLD[self]

    @property
    def is_failure(self) -> bool:
        """Whether scoring itself is in doubt, so that readiness turns red."""
        return self not in _HARMLESS


_TOLD = {
    Unscored.MONITOR_ERROR: "a probe failed, or gave no finite score",
    Unscored.UNSCORED_STEP: "the engine handed out a token without a score",
    Unscored.STEP_TIMEOUT: "no scored token came in time",
    Unscored.ENGINE_DEAD: "the engine has stopped",
    Unscored.ENGINE_FAILURE: "the engine ended the answer before its time",
    Unscored.UNKNOWN_DECISION: "the policy decided what this service cannot carry out",
    Unscored.STORE_UNAVAILABLE: "the review store could not commit what must be on record first",
    Unscored.INTERNAL_ERROR: "the service itself failed; its log says where",
    Unscored.CLIENT_DISCONNECTED: "the client went away before the end",
    Unscored.SIBLING_FAILED: "another choice of the same request failed",
    Unscored.SHUTDOWN: "the service is shutting down",
}

_HARMLESS = frozenset({Unscored.CLIENT_DISCONNECTED, Unscored.SIBLING_FAILED, Unscored.SHUTDOWN})


class Withheld(Exception):
    """An answer stops here: what was not yet released stays inside. On record and counted."""

    def __init__(self, reason: Unscored) -> None:
        super().__init__(f"the rest of this answer is withheld: {reason.told}")
        self.reason = reason
