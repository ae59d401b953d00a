"""Outbox over PostgreSQL: deliveries of all organizations, each claimed by one relay at a time."""

from collections.abc import Sequence

from psycopg.rows import dict_row

from adapters.store.database import Database
from domain.runs.delivery import Delivery

LONGEST_BACKOFF_SECONDS = 15.0


class PostgresOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, *, limit: int, lease_seconds: float) -> Sequence[Delivery]:
        async with self._database.system() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                "SELECT id AS outbox_id, request_id, org_id, run_id, workflow_id, kind, priority"
                " FROM outbox_claim(%s, %s) ORDER BY id",
                (limit, lease_seconds),
            )
            return [Delivery.model_validate(row) for row in await cursor.fetchall()]

    async def sent(self, delivery: Delivery) -> None:
        await self._database.one(
            "SELECT outbox_sent(%s, %s, %s)", delivery.org_id, delivery.outbox_id, delivery.request_id
        )

    async def failed(self, delivery: Delivery, problem: str) -> None:
        """Due again after 1, 2, 4 ... seconds by how often it was tried, at most LONGEST_BACKOFF_SECONDS."""
        await self._database.one(
            "UPDATE outbox SET last_problem = %s, due_at = clock_timestamp()"
            " + make_interval(secs => least(%s, 2 ^ least(tries - 1, 10))) WHERE id = %s RETURNING 1",
            problem.replace("\x00", ""),
            LONGEST_BACKOFF_SECONDS,
            delivery.outbox_id,
        )
