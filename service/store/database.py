"""What the store needs of a database, so that nothing above it asks which one it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection, Insert, Table


class Database(Protocol):
    """A durable place for rows, with many readers. Safe to use from several threads."""

    @property
    def address(self) -> str:
        """Where it is, for messages; never with a password."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that sees what is committed.

        Raises:
            StoreUnavailable: the database failed, here or inside the block.
        """

    def writing(self, *, alone: bool = False) -> AbstractContextManager[Connection]:
        """A transaction that is durable once the block has ended, or was never made.

        Args:
            alone: no other writer that asks for the same is let in meanwhile, so what
                is read in the block is still true when it ends.

        Raises:
            StoreUnavailable: the database failed, here, inside the block or at the commit.
        """

    def insert_once(self, table: Table, *, key: str) -> Insert:
        """An insert that does nothing where a row with the same unique `key` stands."""

    def close(self) -> None:
        """End all connections. Using the database afterwards is an error."""
