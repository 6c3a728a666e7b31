"""API keys: shown once, kept as digests.

A key is 256 random bits, so nobody can guess it from its SHA-256 however fast
that is to compute; slow password hashes protect what people choose themselves.
A key carries a public id by which its row is found, and only then is its digest
compared, in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from sqlalchemy import ColumnElement, RowMapping, select, update

from service.domain import ApiKey, KeyScope, utc_now
from service.store.audit import add_entry
from service.store.database import Database
from service.store.errors import KeyExists, UnknownKey
from service.store.tables import api_keys

_SHAPE = re.compile(r"pw-([0-9a-f]{16})-[A-Za-z0-9_-]{43}")
_NO_DIGEST = bytes(32)
_KNOWN = (api_keys.c.name, api_keys.c.scope, api_keys.c.created_at, api_keys.c.revoked_at)


class Keys:
    """Who may ask."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, *, by: str, scope: KeyScope = KeyScope.ASK) -> str:
        """Make a key and return it; this is the only moment in which it exists in full.

        Raises:
            KeyExists: a valid key of that name exists.
            StoreUnavailable: the database failed.
        """
        number = secrets.token_hex(8)
        key = f"pw-{number}-{secrets.token_urlsafe(32)}"
        taken = select(api_keys.c.id).where(api_keys.c.name == name, _valid())
        with self._database.writing(alone=True) as connection:
            if connection.execute(taken).first() is not None:
                raise KeyExists(name)
            connection.execute(
                api_keys.insert().values(
                    id=number,
                    name=name,
                    digest=_digest(key),
                    created_at=utc_now(),
                    scope=scope.value,
                )
            )
            add_entry(
                connection,
                actor=by,
                action="key.create",
                subject=name,
                before=None,
                after=f"{number} ({scope.value})",
                reason="",
            )
        return key

    def holder(self, key: str) -> ApiKey | None:
        """Whose key it is and what it opens; None when it is no valid key, whatever was sent.

        Raises:
            StoreUnavailable: the database failed, so nobody can be let in.
        """
        shape = _SHAPE.fullmatch(key)
        if shape is None:
            return None
        asked = select(api_keys.c.digest, *_KNOWN).where(api_keys.c.id == shape[1], _valid())
        with self._database.reading() as connection:
            row = connection.execute(asked).mappings().first()
        expected = _NO_DIGEST if row is None else bytes(row["digest"])
        same = hmac.compare_digest(expected, _digest(key))
        return _key_of_row(row) if same and row is not None else None

    def revoke(self, name: str, *, by: str, reason: str = "") -> None:
        """End a key. The next request with it is refused.

        Raises:
            UnknownKey: no valid key has that name.
            StoreUnavailable: the database failed.
        """
        ended = (
            update(api_keys)
            .where(api_keys.c.name == name, _valid())
            .values(revoked_at=utc_now())
            .returning(api_keys.c.id, api_keys.c.scope)
        )
        with self._database.writing() as connection:
            row = connection.execute(ended).first()
            if row is None:
                raise UnknownKey(name)
            add_entry(
                connection,
                actor=by,
                action="key.revoke",
                subject=name,
                before=f"{row.id} ({row.scope})",
                after=None,
                reason=reason,
            )

    def list(self) -> tuple[ApiKey, ...]:
        """All keys ever made, oldest first.

        Raises:
            StoreUnavailable: the database failed.
        """
        oldest_first = select(*_KNOWN).order_by(api_keys.c.created_at, api_keys.c.id)
        with self._database.reading() as connection:
            return tuple(_key_of_row(row) for row in connection.execute(oldest_first).mappings())


def _key_of_row(row: RowMapping) -> ApiKey:
    return ApiKey(
        name=row["name"],
        scope=KeyScope(row["scope"]),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )


def _valid() -> ColumnElement[bool]:
    return api_keys.c.revoked_at.is_(None)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
