"""Wake-ups of viewers: coalesced per process, never one NOTIFY per write.

Writers mark a run; a Notifier sends what was marked, at most once in INTERVAL_SECONDS. Listeners hold one connection
per process and wake whoever waits for a run. A note says "look again" and may be lost; viewers look again by
themselves now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import structlog

from adapters.store.database import Database
from domain.errors import Unavailable

CHANNEL = "millwright_runs"
INTERVAL_SECONDS = 0.15
MOST_NAMED = 200
"""Runs in one note (a payload holds 8,000 bytes); more are told as EVERY_RUN."""
EVERY_RUN = "*"
RECONNECT_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Notifier:
    """`mark` is given to the writers of the record; `run` is a task of the process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._marked: set[UUID] = set()
        self._any = asyncio.Event()

    def mark(self, run_id: UUID) -> None:
        self._marked.add(run_id)
        self._any.set()

    async def run(self) -> None:
        """Until cancelled. What was marked while the database was away is told when it is back."""
        while True:
            await self._any.wait()
            try:
                await self.flush()
            except Unavailable as error:
                log.warning("notifier.waiting", error=str(error))
            await asyncio.sleep(INTERVAL_SECONDS)

    async def flush(self) -> None:
        """Tells what was marked, in one NOTIFY."""
        self._any.clear()
        marked, self._marked = self._marked, set()
        if not marked:
            return
        payload = EVERY_RUN if len(marked) > MOST_NAMED else " ".join(run_id.hex for run_id in marked)
        try:
            await self._database.one("SELECT pg_notify(%s, %s)", CHANNEL, payload)
        except Unavailable:
            for run_id in marked:
                self.mark(run_id)
            raise


class RunWakeup:
    """One viewer's flag; any number of notes becomes one."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    async def wait(self, timeout_seconds: float) -> None:
        """Returns when woken since the last call, or after the time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.woken.wait()
        except TimeoutError:
            return
        self.woken.clear()


class PostgresWakeups:
    """`run` is a task of the process: it holds the one LISTEN connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: dict[UUID, set[RunWakeup]] = defaultdict(set)

    @asynccontextmanager
    async def of_run(self, run_id: UUID) -> AsyncIterator[RunWakeup]:
        wakeup = RunWakeup()
        self._waiting[run_id].add(wakeup)
        try:
            yield wakeup
        finally:
            self._waiting[run_id].discard(wakeup)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    async def run(self) -> None:
        """Until cancelled; connects again when the connection is lost, and then wakes everyone."""
        while True:
            try:
                await self._listen()
            except psycopg.OperationalError as error:
                log.warning("wakeups.waiting", error=str(error))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._wake(EVERY_RUN)
            async for note in connection.notifies():
                self._wake(note.payload)

    def _wake(self, payload: str) -> None:
        named = list(self._waiting) if payload == EVERY_RUN else [UUID(text) for text in payload.split()]
        for run_id in named:
            for wakeup in self._waiting.get(run_id, ()):
                wakeup.woken.set()
