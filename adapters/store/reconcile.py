"""OpenRuns over PostgreSQL: what the reconciler looks at, and the lease that makes it one at a time."""

from collections.abc import Sequence
from uuid import uuid4

from psycopg.rows import dict_row

from adapters.store.database import Database
from domain.runs.delivery import OpenRunRow

RECONCILER_POOL = "reconciler"
RECONCILER_SECONDS = 20.0


class PostgresOpenRuns:
    """`process` names this process to people."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process
        self._holder = uuid4()

    async def open_runs(self, *, quiet_seconds: float) -> Sequence[OpenRunRow]:
        async with self._database.system() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute("SELECT * FROM open_runs(%s)", (quiet_seconds,))
            return [OpenRunRow.model_validate(row) for row in await cursor.fetchall()]

    async def reconciling(self) -> bool:
        held: bool = await self._database.one(
            "SELECT lease_take(%s, %s, %s, %s)", RECONCILER_POOL, self._holder, self._process, RECONCILER_SECONDS
        )
        return held
