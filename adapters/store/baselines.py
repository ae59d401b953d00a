"""The BaselineRecord port: what a verification says of a base, kept for every run that starts from it."""

from uuid import UUID

from psycopg.types.json import Jsonb

from adapters.store.database import Database
from domain.runs.baseline import Baseline


class PostgresBaselines:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, org_id: UUID, workspace_id: UUID, base_tree: str, key: str) -> Baseline | None:
        async with self._database.organization(org_id) as connection:
            found = await connection.execute(
                "SELECT document FROM baseline WHERE workspace_id = %s AND base_tree = %s AND key = %s",
                (workspace_id, base_tree, key),
            )
            row = await found.fetchone()
        return Baseline.model_validate(row[0]) if row else None

    async def keep(self, org_id: UUID, workspace_id: UUID, base_tree: str, key: str, baseline: Baseline) -> None:
        async with self._database.organization(org_id) as connection:
            await connection.execute(
                "INSERT INTO baseline (org_id, workspace_id, base_tree, key, document, created_at)"
                " VALUES (%s, %s, %s, %s, %s, now()) ON CONFLICT DO NOTHING",
                (org_id, workspace_id, base_tree, key, Jsonb(baseline.model_dump(mode="json"))),
            )
