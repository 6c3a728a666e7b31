"""What the store refuses, each with its next step.

No message here ever holds text of a prompt or an answer, a key, or a database
password: these errors reach logs. The drivers' own messages can quote values,
so they are never passed on.
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "busy",
    "closed",
    "corrupt",
    "failed",
    "full",
    "locked",
    "moved",
    "read_only",
    "schema",
    "timeout",
    "unreachable",
]
"""Why a store is down, as a bounded word for metrics."""


class StoreError(Exception):
    """The store refused, or could not do, what was asked."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The database cannot be read or written now, and nothing may be depended on.

    Whoever gets this while holding an answer withholds it. When the connection broke
    during a commit, the row may stand all the same: trying again is safe, because a
    request has one case however often it is flagged.
    """

    code = "store_unavailable"

    def __init__(self, store: str, reason: Reason, found: str, next_step: str) -> None:
        super().__init__(
            f"expected the review store {store} to answer and commit, but {found}; {next_step}"
        )
        self.store, self.reason = store, reason


class StoreMisconfigured(StoreError):
    """The database's address or its settings cannot keep the store's promises."""

    code = "store_misconfigured"

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"cannot use this database: {found}; expected {expected}")
        self.found, self.expected = found, expected


class DamagedRow(StoreError):
    """A stored value cannot be read back, so somebody else wrote or cut it."""

    code = "damaged_row"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"cannot read {what} from the store: {reason}; "
            "restore that row from a backup and find out what else writes to this database"
        )
        self.what, self.reason = what, reason


class UnknownFlag(StoreError):
    """A flag was to be extended that was never committed."""

    code = "unknown_flag"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"no flag of request {request_id!r} to extend; commit_flag must return before"
        )
        self.request_id = request_id


class UnknownRole(StoreError):
    """A probe was to be deployed in a role that does not exist."""

    code = "unknown_role"

    def __init__(self, role: str) -> None:
        super().__init__(f"no role {role!r} for a probe; use 'champion' or 'challenger'")
        self.role = role


class NothingToRollBack(StoreError):
    """A role has no earlier version to return to."""

    code = "nothing_to_roll_back"

    def __init__(self, role: str, deployed: str | None) -> None:
        found = f"only {deployed} was ever {role}" if deployed else f"there is no {role}"
        super().__init__(f"cannot roll back the {role}: {found}; promote a version instead")
        self.role, self.deployed = role, deployed


class KeyExists(StoreError):
    """A valid API key of that name exists already."""

    code = "key_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"a valid key {name!r} exists; revoke it first or choose another name")
        self.name = name


class UnknownKey(StoreError):
    """No valid API key has that name."""

    code = "unknown_key"

    def __init__(self, name: str) -> None:
        super().__init__(f"no valid key {name!r} to revoke; list the keys to see their names")
        self.name = name
