"""What the record knows of runs found elsewhere: on a worker's disk."""

from collections.abc import Collection
from uuid import UUID

from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database
from domain.runs.words import RunStatus

_FINAL = [status.value for status in RunStatus if status.is_final]


class PostgresKnownRuns:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def active(self, candidates: Collection[UUID]) -> set[UUID]:
        """Those without an end. Raises Unavailable."""
        async with self._database.system() as connection:
            rows = await connection.execute("SELECT run_id FROM open_run WHERE run_id = ANY(%s)", (list(candidates),))
            return {row[0] for row in await rows.fetchall()}

    async def finished(self, candidates: Collection[UUID]) -> set[UUID]:
        """Those that have ended, over all organizations. Raises Unavailable."""
        found: set[UUID] = set()
        for org_id in await PostgresCatalogue(self._database).organizations():
            async with self._database.organization(org_id) as connection:
                rows = await connection.execute(
                    "SELECT id FROM run WHERE id = ANY(%s) AND status = ANY(%s)", (list(candidates), _FINAL)
                )
                found.update(row[0] for row in await rows.fetchall())
        return found
