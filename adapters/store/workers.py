"""Signs of life of workers, and how many phases may run at once over all of them."""

from adapters.store.database import Database

EXECUTOR_POOL = "executor"


class PostgresWorkers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def seen(self, worker: str, *, host: str, pid: int, slots: int) -> None:
        """Written at the start and each few seconds. `worker` is the name that permits and executions show."""
        await self._database.one(
            "INSERT INTO worker (id, host, pid, slots, started_at, seen_at)"
            " VALUES (%s, %s, %s, %s, clock_timestamp(), clock_timestamp())"
            " ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, slots = excluded.slots RETURNING 1",
            worker,
            host,
            pid,
            slots,
        )

    async def gone(self, worker: str) -> None:
        await self._database.one("DELETE FROM worker WHERE id = %s RETURNING 1", worker)

    async def set_executor_permits(self, size: int) -> None:
        """Phases that may run at once, whichever worker has them."""
        await self._database.one(
            "INSERT INTO permit_pool (name, size) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET size = excluded.size RETURNING 1",
            EXECUTOR_POOL,
            size,
        )
