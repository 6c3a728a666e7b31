"""Queues, claims and verdicts: cases get a place in a queue, and can be ruled on.

Cases from before join the default queue, in the band that their flag's statistic puts
them in, and want one reviewer. New columns have defaults, so that a gateway of the
version before goes on making cases; it puts them into band 0.
"""

from __future__ import annotations

import json
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LABELS = {
    "misbehaviour": "The answer does what the probe was trained to notice, or worse.",
    "harmless": "The answer is in order, and the flag a false alarm.",
    "unsure": "What is shown does not decide it.",
}


def upgrade() -> None:
    """Make the tables, give cases their place, and make verdicts append-only."""
    _queues()
    _cases()
    _verdicts()
    _skips()


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, _ROW_NUMBER, nullable=nullable)


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, _MOMENT, nullable=False)


def _queues() -> None:
    queues = op.create_table(
        "queues",
        _text("name"),
        _text("rubric"),
        _whole("reviewers"),
        _flag("blinded"),
        _flag("blurred"),
        _flag("reason_required"),
        _flag("clause_required"),
        _whole("lease_seconds"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_queues")),
        sa.CheckConstraint("reviewers BETWEEN 1 AND 10", name=op.f("ck_queues_reviewers_few")),
        sa.CheckConstraint("lease_seconds > 0", name=op.f("ck_queues_lease_ends_later")),
        comment="How the cases of each queue are reviewed.",
    )
    labels = [{"name": name, "sentence": sentence} for name, sentence in _LABELS.items()]
    default = {
        "name": "default",
        "rubric": json.dumps({"labels": labels, "clauses": []}, separators=(",", ":")),
        "reviewers": 1,
        "blinded": True,
        "blurred": False,
        "reason_required": False,
        "clause_required": False,
        "lease_seconds": 600,
    }
    op.bulk_insert(queues, [default])


def _cases() -> None:
    """As sentences of SQL, because both databases add a column together with its CHECK."""
    moment = "DATETIME" if _on_sqlite() else "TIMESTAMP WITH TIME ZONE"
    for column in (
        "queue TEXT DEFAULT 'default' NOT NULL",
        "band INTEGER DEFAULT 0 NOT NULL "
        "CONSTRAINT ck_cases_band_known CHECK (band BETWEEN 0 AND 4)",
        "reviewers INTEGER DEFAULT 1 NOT NULL "
        "CONSTRAINT ck_cases_reviewers_few CHECK (reviewers BETWEEN 1 AND 10)",
        "fence BIGINT DEFAULT 0 NOT NULL",
        "holder TEXT",
        f"lease_until {moment} CONSTRAINT ck_cases_held_for_a_while "
        "CHECK ((holder IS NULL) = (lease_until IS NULL))",
        "assigned_to TEXT",
    ):
        op.execute(f"ALTER TABLE cases ADD COLUMN {column}")
    _reckon_bands()
    waiting = sa.text("holder IS NULL AND state <> 'closed'")
    op.create_index(
        "ix_cases_waiting",
        "cases",
        ["queue", sa.text("band DESC"), "created_at", "id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    leased = sa.text("lease_until IS NOT NULL")
    op.create_index(
        "ix_cases_leased",
        "cases",
        ["queue", "lease_until"],
        sqlite_where=leased,
        postgresql_where=leased,
    )


def _reckon_bands() -> None:
    """The distance above the threshold as a share of its size, or of 1 where it is smaller."""
    shares = " ".join(
        f"WHEN statistic - threshold >= {share} * "
        f"(CASE WHEN abs(threshold) > 1 THEN abs(threshold) ELSE 1 END) THEN {band}"
        for band, share in ((4, 1.0), (3, 0.5), (2, 0.25), (1, 0.125))
    )
    op.execute(
        "UPDATE cases SET band = (SELECT CASE WHEN NOT statistic > threshold THEN 0 "
        f"{shares} ELSE 0 END FROM flags WHERE flags.request_id = cases.request_id)"
    )


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        _number("id"),
        _number("case_id"),
        _text("kind"),
        _text("author"),
        _moment("at"),
        _text("label", nullable=True),
        _whole("confidence", nullable=True),
        _text("reason"),
        _text("clause", nullable=True),
        _whole("span_start", nullable=True),
        _whole("span_end", nullable=True),
        _text("comment"),
        _text("probe"),
        _text("probe_version"),
        _flag("blinded"),
        sa.Column("fence", sa.BigInteger, nullable=False),
        _number("undoes", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_verdicts_case_id_cases")),
        sa.ForeignKeyConstraint(
            ["undoes"], ["verdicts.id"], name=op.f("fk_verdicts_undoes_verdicts")
        ),
        *_checks_of_verdicts(),
        sa.UniqueConstraint("undoes", name=op.f("uq_verdicts_undoes")),
        comment="What people said of cases. Triggers refuse changes and deletions.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_verdicts_case_id_author"), "verdicts", ["case_id", "author"])
    given = sa.text("kind <> 'undo'")
    op.create_index(
        "uq_verdicts_case_id_fence_given",
        "verdicts",
        ["case_id", "fence"],
        unique=True,
        sqlite_where=given,
        postgresql_where=given,
    )
    _make_append_only()


def _checks_of_verdicts() -> list[sa.CheckConstraint]:
    rules = {
        "kind_known": "kind IN ('review', 'adjudication', 'undo')",
        "undo_names_what": "(kind = 'undo') = (undoes IS NOT NULL)",
        "label_unless_undo": "(kind = 'undo') = (label IS NULL)",
        "label_with_confidence": "(label IS NULL) = (confidence IS NULL)",
        "confidence_known": "confidence BETWEEN 1 AND 5",
        "span_whole": "(span_start IS NULL) = (span_end IS NULL)",
    }
    return [
        sa.CheckConstraint(rule, name=op.f(f"ck_verdicts_{name}")) for name, rule in rules.items()
    ]


def _make_append_only() -> None:
    if _on_sqlite():
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER verdicts_no_{change.lower()} BEFORE {change} ON verdicts "
                "BEGIN SELECT RAISE(ABORT, 'verdicts are append-only'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION verdicts_are_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'verdicts are append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER verdicts_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON verdicts "
            "FOR EACH STATEMENT EXECUTE FUNCTION verdicts_are_append_only()"
        )


def _skips() -> None:
    op.create_table(
        "skips",
        _number("id"),
        _number("case_id"),
        _text("reviewer"),
        _moment("at"),
        sa.Column("fence", sa.BigInteger, nullable=False),
        _text("reason"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_skips")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_skips_case_id_cases")),
        sa.UniqueConstraint("case_id", "reviewer", name=op.f("uq_skips_case_id_reviewer")),
        comment="Who would rather not rule on which case.",
        sqlite_autoincrement=True,
    )


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
