"""What a key opens: keys that exist ask, and no longer read what was kept."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the scope with its rule.

    As a sentence of SQL, because both databases add a column together with its CHECK,
    and Alembic would rather copy the whole table on SQLite. The default lets a gateway
    of the version before go on making keys.
    """
    op.execute(
        "ALTER TABLE api_keys ADD COLUMN scope TEXT DEFAULT 'ask' NOT NULL "
        "CONSTRAINT ck_api_keys_scope_known CHECK (scope IN ('ask', 'review'))"
    )
