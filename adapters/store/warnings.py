"""The RunWarnings port: an event of the run (migrations/sql/0005/workspaces.sql)."""

from collections.abc import Callable
from uuid import UUID

from adapters.store.database import Database
from adapters.store.documents import arguments


class PostgresWarnings:
    """`told` is called with the run's id after each write that viewers want to see."""

    def __init__(self, database: Database, told: Callable[[UUID], None]) -> None:
        self._database = database
        self._told = told

    async def warn(self, org_id: UUID, run_id: UUID, message: str) -> None:
        asked = arguments(org_id=org_id, run_id=run_id, message=message)
        await self._database.one("SELECT run_warn(%s::jsonb)", asked)
        self._told(run_id)
