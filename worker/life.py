"""Signs of life: a worker's row says that it is there, and how many phases it can run."""

import asyncio
import os
import socket

import structlog

from adapters.store.workers import PostgresWorkers
from domain.errors import Unavailable

PERIOD_SECONDS = 5.0

log = structlog.get_logger(__name__)


class SignsOfLife:
    def __init__(self, workers: PostgresWorkers, name: str, slots: int) -> None:
        self._workers = workers
        self._name = name
        self._slots = slots

    async def run(self) -> None:
        """Until cancelled; then the row goes, so that nobody waits for a worker that has left."""
        try:
            while True:
                await self._tell()
                await asyncio.sleep(PERIOD_SECONDS)
        finally:
            await self._leave()

    async def _tell(self) -> None:
        try:
            await self._workers.seen(self._name, host=socket.gethostname(), pid=os.getpid(), slots=self._slots)
        except Unavailable as error:
            log.warning("worker.not_seen", error=error.message)

    async def _leave(self) -> None:
        try:
            await self._workers.gone(self._name)
        except Unavailable as error:
            log.warning("worker.left_without_word", error=error.message)
