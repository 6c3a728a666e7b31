"""Bringing a database's tables to this version, at every opening.

Alembic's own machinery runs here without its ini file and its `env.py`: the
connection is ours, and with it the writer's turn, the timeouts and the one
transaction in which all steps succeed or none does. Two gateways that open an
empty database at once take turns.
"""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from service.store.database import Database
from service.store.errors import StoreMisconfigured
from service.store.tables import metadata

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Run the migrations that a database has not seen.

    Raises:
        StoreUnavailable: the database failed; its tables are as they were.
        StoreMisconfigured: a later version has migrated it, so this one may not write to it.
    """
    script = ScriptDirectory(str(_MIGRATIONS), version_locations=[str(_MIGRATIONS / "versions")])
    with database.writing(alone=True) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        known = {revision.revision for revision in script.walk_revisions()}
        if found is not None and found not in known:
            raise StoreMisconfigured(
                f"the tables of {database.address} are at revision {found}",
                f"revision {script.get_current_head()} or earlier; run the version that made them",
            )
        if found != script.get_current_head():
            _upgrade(connection, script)


def _upgrade(connection: Connection, script: ScriptDirectory) -> None:
    def steps(revision: str, _: MigrationContext) -> list[RevisionStep]:
        return list(script._upgrade_revs("head", revision))

    with EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, target_metadata=metadata)
        with environment.begin_transaction():
            environment.run_migrations()
