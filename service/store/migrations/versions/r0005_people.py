"""People who log in: persons, sessions, one-time links, and counts of failed logins."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the four tables. A gateway of the version before knows none of them."""
    _people()
    _sessions()
    _invitations()
    _login_failures()


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _digest(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def _people() -> None:
    op.create_table(
        "people",
        _text("name"),
        _text("display_name"),
        _text("role"),
        _text("password"),
        _moment("created_at"),
        _moment("disabled_at", nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_people")),
        sa.CheckConstraint(
            "role IN ('operator', 'auditor', 'lead', 'admin', 'read-only')",
            name=op.f("ck_people_role_known"),
        ),
        comment="Who can log in, with argon2id hashes of their passwords.",
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        _digest("digest"),
        _text("person"),
        _moment("created_at"),
        _moment("seen_at"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
        sa.ForeignKeyConstraint(
            ["person"], ["people.name"], name=op.f("fk_sessions_person_people")
        ),
        comment="Who is logged in: SHA-256 digests of cookies. A session that ends is deleted.",
    )
    op.create_index(op.f("ix_sessions_person"), "sessions", ["person"])


def _invitations() -> None:
    op.create_table(
        "invitations",
        _digest("digest"),
        _text("purpose"),
        _text("person", nullable=True),
        _text("role"),
        _text("made_by"),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_invitations")),
        sa.CheckConstraint(
            "purpose IN ('first', 'join', 'reset')", name=op.f("ck_invitations_purpose_known")
        ),
        sa.CheckConstraint(
            "(purpose = 'first') = (person IS NULL)",
            name=op.f("ck_invitations_first_has_no_name"),
        ),
        comment="SHA-256 digests of one-time links. A link that was used or replaced is deleted.",
    )


def _login_failures() -> None:
    op.create_table(
        "login_failures",
        _digest("key"),
        sa.Column("failures", sa.Integer, nullable=False),
        _moment("at"),
        _moment("wait_until"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_login_failures")),
        comment="How often a name or an address failed to log in, by SHA-256 digests of either.",
    )
