"""The tables as this version of the code expects them.

`migrations/` builds them; a test holds the two equal on both databases. Text of
prompts and answers lives in `flags` and nowhere else.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from service.store.columns import Lossless, Moment, RowNumber

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

requests = Table(
    "requests",
    metadata,
    Column("id", Lossless, primary_key=True),
    Column("created_at", Moment, nullable=False, index=True),
    Column("model", Lossless, nullable=False),
    Column("route", Lossless, nullable=False),
    Column("probe_set", Lossless, nullable=False),
    Column("action", Lossless, nullable=False),
    Column("release_rule", Lossless, nullable=False),
    Column("outcome", Lossless, nullable=False),
    Column("reason", Lossless),
    Column("decision", Lossless, nullable=False),
    Column("tripped_at", Integer),
    Column("tokens_scored", Integer, nullable=False),
    Column("tokens_released", Integer, nullable=False),
    Column("tokens_released_unscored", Integer, nullable=False),
    Column("probes", Lossless, nullable=False),
    Column("peaks", LargeBinary, nullable=False),
    Column("scores", LargeBinary, nullable=False),
    CheckConstraint("outcome IN ('scored', 'unscored')", name="outcome_known"),
    CheckConstraint("(outcome = 'scored') = (reason IS NULL)", name="reason_when_unscored"),
    comment="One row per finished request. Holds no text.",
)

flags = Table(
    "flags",
    metadata,
    Column("id", Lossless, primary_key=True),
    Column("request_id", Lossless, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("model", Lossless, nullable=False),
    Column("probe_set", Lossless, nullable=False),
    Column("probe", Lossless, nullable=False),
    Column("probe_version", Lossless, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("statistic", Double, nullable=False),
    Column("step", Integer, nullable=False),
    Column("decision", Lossless, nullable=False),
    Column("action", Lossless, nullable=False),
    Column("release_rule", Lossless, nullable=False),
    Column("source", Lossless, nullable=False),
    Column("messages", Lossless, nullable=False),
    Column("answer", Lossless, nullable=False),
    Column("probes", Lossless, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("token_texts", Lossless, nullable=False),
    Column("token_positions", LargeBinary, nullable=False),
    Column("token_scores", LargeBinary, nullable=False),
    Column("token_statistics", LargeBinary, nullable=False),
    UniqueConstraint("request_id"),
    comment="Streams that crossed a threshold, with their text.",
)

cases = Table(
    "cases",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("request_id", Lossless, ForeignKey("flags.request_id"), nullable=False),
    Column("state", Lossless, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("request_id"),
    Index(None, "state", "id"),
    comment="Flags waiting for a human.",
    sqlite_autoincrement=True,
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("role", Lossless, nullable=False),
    Column("ref", Lossless, nullable=False),
    Column("since", Moment, nullable=False),
    Column("by", Lossless, nullable=False),
    Column("reason", Lossless, nullable=False),
    Column("withdrawn_at", Moment),
    Index(None, "role", "id"),
    comment="A stack per role: the newest row that was not withdrawn stands.",
    sqlite_autoincrement=True,
)

audit = Table(
    "audit",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", Lossless, nullable=False),
    Column("action", Lossless, nullable=False),
    Column("subject", Lossless, nullable=False),
    Column("before", Lossless),
    Column("after", Lossless),
    Column("reason", Lossless, nullable=False),
    comment="Who changed what. Triggers refuse changes and deletions.",
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", Lossless, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("scope", Lossless, nullable=False, server_default="ask"),
    CheckConstraint("scope IN ('ask', 'review')", name="scope_known"),
    Index(
        "uq_api_keys_name_valid",
        "name",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    comment="Names and SHA-256 digests of API keys; never a key.",
)

pulse = Table(
    "pulse",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    comment="One row, written by every health check: a full disk still reads.",
)
