"""Which probe version stands in which role, changed only together with an audit line.

A role is a stack: `promote` puts a version on top, `rollback` withdraws the top,
and what lies below stands again. Rows are never deleted, so the stack is also
its own history.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import ColumnElement, Connection, insert, select, update

from service.domain import Deployment, Role, utc_now
from service.store.audit import add_entry
from service.store.database import Database
from service.store.errors import NothingToRollBack, UnknownRole
from service.store.tables import deployments

_ROLES: tuple[str, ...] = get_args(Role)


class Deployments:
    """Champions and challengers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def promote(self, role: Role, ref: str, *, by: str, reason: str) -> Deployment:
        """Let a version stand in a role. When it already does, nothing changes.

        Raises:
            UnknownRole: there is no such role.
            StoreUnavailable: the database failed; what stood before still stands.
        """
        _require_role(role)
        with self._database.writing(alone=True) as connection:
            standing = _standing(connection, role)
            if standing and standing[0].ref == ref:
                return standing[0]
            before = standing[0].ref if standing else None
            return _put_on_top(connection, role, ref, by=by, reason=reason, before=before)

    def seed(self, role: Role, ref: str, *, by: str, reason: str) -> Deployment:
        """Let a version stand in a role that nothing stands in; else return what does.

        Raises:
            UnknownRole: there is no such role.
            StoreUnavailable: the database failed.
        """
        _require_role(role)
        with self._database.writing(alone=True) as connection:
            standing = _standing(connection, role)
            if standing:
                return standing[0]
            return _put_on_top(connection, role, ref, by=by, reason=reason, before=None)

    def rollback(self, role: Role, *, by: str, reason: str) -> Deployment:
        """Withdraw what stands in a role and return to what stood there before.

        Raises:
            UnknownRole: there is no such role.
            NothingToRollBack: nothing stood there before.
            StoreUnavailable: the database failed; what stood before still stands.
        """
        _require_role(role)
        with self._database.writing(alone=True) as connection:
            standing = _standing(connection, role)
            if len(standing) < 2:
                raise NothingToRollBack(role, standing[0].ref if standing else None)
            newest = select(deployments.c.id).where(*_stands(role))
            newest = newest.order_by(deployments.c.id.desc()).limit(1)
            connection.execute(
                update(deployments)
                .where(deployments.c.id == newest.scalar_subquery())
                .values(withdrawn_at=utc_now())
            )
            withdrawn, restored = standing
            _record(connection, "rollback", role, withdrawn.ref, restored.ref, by, reason)
            return restored

    def current(self, role: Role) -> Deployment | None:
        """What stands in a role, since when and by whose hand.

        Raises:
            UnknownRole: there is no such role.
            StoreUnavailable: the database failed.
        """
        _require_role(role)
        with self._database.reading() as connection:
            standing = _standing(connection, role)
        return standing[0] if standing else None

    def deployed(self, role: Role) -> str | None:
        """The version that stands in a role, such as "petty@3".

        Raises:
            UnknownRole: there is no such role.
            StoreUnavailable: the database failed.
        """
        standing = self.current(role)
        return standing.ref if standing else None


def _require_role(role: str) -> None:
    if role not in _ROLES:
        raise UnknownRole(role)


def _stands(role: Role) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return deployments.c.role == role, deployments.c.withdrawn_at.is_(None)


def _standing(connection: Connection, role: Role) -> list[Deployment]:
    """The top of a role's stack and what lies below it, two at most."""
    c = deployments.c
    top = select(c.role, c.ref, c.since, c.by, c.reason).where(*_stands(role))
    rows = connection.execute(top.order_by(c.id.desc()).limit(2)).mappings()
    return [Deployment(**row) for row in rows]


def _put_on_top(
    connection: Connection, role: Role, ref: str, *, by: str, reason: str, before: str | None
) -> Deployment:
    promoted = Deployment(role=role, ref=ref, since=utc_now(), by=by, reason=reason)
    connection.execute(
        insert(deployments).values(role=role, ref=ref, since=promoted.since, by=by, reason=reason)
    )
    _record(connection, "promote", role, before, ref, by, reason)
    return promoted


def _record(
    connection: Connection,
    what: str,
    role: Role,
    before: str | None,
    after: str,
    by: str,
    reason: str,
) -> None:
    add_entry(
        connection,
        actor=by,
        action=f"deployment.{what}",
        subject=role,
        before=before,
        after=after,
        reason=reason,
    )
