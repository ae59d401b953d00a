"""The record's own housekeeping: leases that ran out, totals, compacted output, old sessions. Any process may run it,
any number at once; each part is one short statement."""

import asyncio
from time import monotonic

import structlog

from adapters.store.database import Database
from adapters.store.documents import document
from adapters.store.phases import LOST
from domain.errors import Unavailable

PERIOD_SECONDS = 1.0
SELDOM_SECONDS = 60.0
CHUNKS_KEPT_SECONDS = 600.0
"""Live output stays this long after its execution, for viewers that still read it; then the artifact has it."""

log = structlog.get_logger(__name__)


class Upkeep:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        last = monotonic()
        while True:
            try:
                await self.often()
                if monotonic() - last > SELDOM_SECONDS:
                    last = monotonic()
                    await self.seldom()
            except Unavailable as error:
                log.warning("upkeep.waiting", error=str(error))
            await asyncio.sleep(PERIOD_SECONDS)

    async def often(self) -> None:
        expired = await self._database.one("SELECT leases_expire(%s::jsonb)", document(LOST))
        if expired:
            log.warning("lease.expired", leases=expired)
        await self._database.one("SELECT tallies_fold()")

    async def seldom(self) -> None:
        await self._database.one("SELECT chunks_compact(%s)", CHUNKS_KEPT_SECONDS)
        await self._database.one("DELETE FROM login_session WHERE expires_at < clock_timestamp() RETURNING 1")
        await self._database.one("DELETE FROM worker WHERE seen_at < clock_timestamp() - interval '7 days' RETURNING 1")
