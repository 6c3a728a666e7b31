"""The tables as this version of the code expects them.

`migrations/` builds them; a test holds the two equal on both databases. Text of
prompts and answers lives in `flags` and nowhere else.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    Column("queue", Lossless, nullable=False, server_default="default"),
    Column("band", Integer, nullable=False, server_default="0"),
    Column("reviewers", Integer, nullable=False, server_default="1"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("holder", Lossless),
    Column("lease_until", Moment),
    Column("assigned_to", Lossless),
    CheckConstraint("band BETWEEN 0 AND 4", name="band_known"),
    CheckConstraint("reviewers BETWEEN 1 AND 10", name="reviewers_few"),
    CheckConstraint("(holder IS NULL) = (lease_until IS NULL)", name="held_for_a_while"),
    UniqueConstraint("request_id"),
    Index(None, "state", "id"),
    comment="Flags waiting for a human.",
    sqlite_autoincrement=True,
)

Index(
    "ix_cases_waiting",
    cases.c.queue,
    cases.c.band.desc(),
    cases.c.created_at,
    cases.c.id,
    sqlite_where=text("holder IS NULL AND state <> 'closed'"),
    postgresql_where=text("holder IS NULL AND state <> 'closed'"),
)
Index(
    "ix_cases_leased",
    cases.c.queue,
    cases.c.lease_until,
    sqlite_where=text("lease_until IS NOT NULL"),
    postgresql_where=text("lease_until IS NOT NULL"),
)

queues = Table(
    "queues",
    metadata,
    Column("name", Lossless, primary_key=True),
    Column("rubric", Lossless, nullable=False),
    Column("reviewers", Integer, nullable=False),
    Column("blinded", Boolean, nullable=False),
    Column("blurred", Boolean, nullable=False),
    Column("reason_required", Boolean, nullable=False),
    Column("clause_required", Boolean, nullable=False),
    Column("lease_seconds", Integer, nullable=False),
    CheckConstraint("reviewers BETWEEN 1 AND 10", name="reviewers_few"),
    CheckConstraint("lease_seconds > 0", name="lease_ends_later"),
    comment="How the cases of each queue are reviewed.",
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("case_id", RowNumber, ForeignKey("cases.id"), nullable=False),
    Column("kind", Lossless, nullable=False),
    Column("author", Lossless, nullable=False),
    Column("at", Moment, nullable=False),
    Column("label", Lossless),
    Column("confidence", Integer),
    Column("reason", Lossless, nullable=False),
    Column("clause", Lossless),
    Column("span_start", Integer),
    Column("span_end", Integer),
    Column("comment", Lossless, nullable=False),
    Column("probe", Lossless, nullable=False),
    Column("probe_version", Lossless, nullable=False),
    Column("blinded", Boolean, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("undoes", RowNumber, ForeignKey("verdicts.id")),
    CheckConstraint("kind IN ('review', 'adjudication', 'undo')", name="kind_known"),
    CheckConstraint("(kind = 'undo') = (undoes IS NOT NULL)", name="undo_names_what"),
    CheckConstraint("(kind = 'undo') = (label IS NULL)", name="label_unless_undo"),
    CheckConstraint("(label IS NULL) = (confidence IS NULL)", name="label_with_confidence"),
    CheckConstraint("confidence BETWEEN 1 AND 5", name="confidence_known"),
    CheckConstraint("(span_start IS NULL) = (span_end IS NULL)", name="span_whole"),
    UniqueConstraint("undoes"),
    Index(None, "case_id", "author"),
    Index(
        "uq_verdicts_case_id_fence_given",
        "case_id",
        "fence",
        unique=True,
        sqlite_where=text("kind <> 'undo'"),
        postgresql_where=text("kind <> 'undo'"),
    ),
    comment="What people said of cases. Triggers refuse changes and deletions.",
    sqlite_autoincrement=True,
)

skips = Table(
    "skips",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("case_id", RowNumber, ForeignKey("cases.id"), nullable=False),
    Column("reviewer", Lossless, nullable=False),
    Column("at", Moment, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("reason", Lossless, nullable=False),
    UniqueConstraint("case_id", "reviewer"),
    comment="Who would rather not rule on which case.",
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
    Column("id", RowNumber, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("actor", Lossless, nullable=False),
    Column("action", Lossless, nullable=False),
    Column("subject", Lossless, nullable=False),
    Column("before", Lossless),
    Column("after", Lossless),
    Column("reason", Lossless, nullable=False),
    Column("hash", String(64), nullable=False),
    comment="Who changed what, as a chain. Triggers refuse changes and deletions.",
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("length", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    comment="One row: where the audit's chain ends. Whoever adds a line holds it.",
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

people = Table(
    "people",
    metadata,
    Column("name", Lossless, primary_key=True),
    Column("display_name", Lossless, nullable=False),
    Column("role", Lossless, nullable=False),
    Column("password", Lossless, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    CheckConstraint(
        "role IN ('operator', 'auditor', 'lead', 'admin', 'read-only')", name="role_known"
    ),
    comment="Who can log in, with argon2id hashes of their passwords.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", Lossless, ForeignKey("people.name"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    comment="Who is logged in: SHA-256 digests of cookies. A session that ends is deleted.",
)

invitations = Table(
    "invitations",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("purpose", Lossless, nullable=False),
    Column("person", Lossless),
    Column("role", Lossless, nullable=False),
    Column("made_by", Lossless, nullable=False),
    Column("expires_at", Moment, nullable=False),
    CheckConstraint("purpose IN ('first', 'join', 'reset')", name="purpose_known"),
    CheckConstraint("(purpose = 'first') = (person IS NULL)", name="first_has_no_name"),
    comment="SHA-256 digests of one-time links. A link that was used or replaced is deleted.",
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("wait_until", Moment, nullable=False),
    comment="How often a name or an address failed to log in, by SHA-256 digests of either.",
)

pulse = Table(
    "pulse",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    comment="One row, written by every health check: a full disk still reads.",
)
