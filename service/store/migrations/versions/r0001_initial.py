"""The first tables: requests, flags, cases, deployments, audit, keys, pulse."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables, and make the audit append-only."""
    _requests()
    _flags()
    _cases()
    _deployments()
    _audit()
    _api_keys()
    _pulse()


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, _MOMENT, nullable=nullable)


def _requests() -> None:
    op.create_table(
        "requests",
        _text("id"),
        _moment("created_at"),
        _text("model"),
        _text("route"),
        _text("probe_set"),
        _text("action"),
        _text("release_rule"),
        _text("outcome"),
        _text("reason", nullable=True),
        _text("decision"),
        _whole("tripped_at", nullable=True),
        _whole("tokens_scored"),
        _whole("tokens_released"),
        _whole("tokens_released_unscored"),
        _text("probes"),
        _bytes("peaks"),
        _bytes("scores"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.CheckConstraint(
            "outcome IN ('scored', 'unscored')", name=op.f("ck_requests_outcome_known")
        ),
        sa.CheckConstraint(
            "(outcome = 'scored') = (reason IS NULL)",
            name=op.f("ck_requests_reason_when_unscored"),
        ),
        comment="One row per finished request. Holds no text.",
    )
    op.create_index(op.f("ix_requests_created_at"), "requests", ["created_at"])


def _flags() -> None:
    op.create_table(
        "flags",
        _text("id"),
        _text("request_id"),
        _moment("created_at"),
        _text("model"),
        _text("probe_set"),
        _text("probe"),
        _text("probe_version"),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("statistic", sa.Double, nullable=False),
        _whole("step"),
        _text("decision"),
        _text("action"),
        _text("release_rule"),
        _text("source"),
        _text("messages"),
        _text("answer"),
        _text("probes"),
        _whole("tokens"),
        _text("token_texts"),
        _bytes("token_positions"),
        _bytes("token_scores"),
        _bytes("token_statistics"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flags")),
        sa.UniqueConstraint("request_id", name=op.f("uq_flags_request_id")),
        comment="Streams that crossed a threshold, with their text.",
    )


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _text("request_id"),
        _text("state"),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["flags.request_id"], name=op.f("fk_cases_request_id_flags")
        ),
        sa.UniqueConstraint("request_id", name=op.f("uq_cases_request_id")),
        comment="Flags waiting for a human.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_cases_state_id"), "cases", ["state", "id"])


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _text("role"),
        _text("ref"),
        _moment("since"),
        _text("by"),
        _text("reason"),
        _moment("withdrawn_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        comment="A stack per role: the newest row that was not withdrawn stands.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_deployments_role_id"), "deployments", ["role", "id"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        _moment("at"),
        _text("actor"),
        _text("action"),
        _text("subject"),
        _text("before", nullable=True),
        _text("after", nullable=True),
        _text("reason"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        comment="Who changed what. Triggers refuse changes and deletions.",
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), nullable=False),
        _text("name"),
        _bytes("digest"),
        _moment("created_at"),
        _moment("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        comment="Names and SHA-256 digests of API keys; never a key.",
    )
    op.create_index(
        "uq_api_keys_name_valid",
        "api_keys",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def _pulse() -> None:
    pulse = op.create_table(
        "pulse",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        _moment("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pulse")),
        sa.CheckConstraint("id = 1", name=op.f("ck_pulse_one_row")),
        comment="One row, written by every health check: a full disk still reads.",
    )
    op.bulk_insert(pulse, [{"id": 1, "at": datetime.now(UTC)}])
