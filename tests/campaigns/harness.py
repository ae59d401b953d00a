"""What every campaign does: many runs through a real stack, some at a time, patiently; each end kept in a file.

Runs are started by `POST /runs` under a key of the campaign's own, so that a start which broke off, or a campaign
that is continued, never starts one twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg

from benchmarks.local_stack import LocalStack, Row
from domain.base import Frozen

AT_ONCE = 8
START_SECONDS = 180.0
"""An API that was killed is back within seconds; this long it is tried again."""
POLL_SECONDS = 0.5
TRY_AGAIN = frozenset({429, 500, 502, 503, 504})

ENDS = """SELECT id, status, outcome_kind, outcome_detail, iterations, error,
                 extract(epoch FROM finished_at - created_at)::float8 AS seconds
          FROM run WHERE id = ANY(%s) AND finished_at IS NOT NULL"""


class Refused(Exception):
    """A start that the API did not take."""


@dataclass(frozen=True)
class Job:
    name: str
    body: dict[str, Any]
    """Of POST /runs."""


class Ended(Frozen):
    """A line of the results file."""

    name: str
    run_id: UUID | None
    status: str
    """The run's, or REFUSED (by the API), or NEVER_ENDED (within the campaign's patience)."""
    outcome: str | None = None
    iterations: int = 0
    seconds: float = 0.0
    error: str | None = None


class Results:
    """One JSON line per run that ended; what stands in it is not done again when a campaign is continued."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Ended]:
        if not self._path.exists():
            return {}
        rows = [Ended.model_validate_json(line) for line in self._path.read_text().splitlines()]
        return {row.name: row for row in rows}

    def add(self, ended: Ended) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(ended.model_dump_json() + "\n")


class Runs:
    """Runs the jobs, `at_once` of them at any time."""

    def __init__(
        self,
        stack: LocalStack,
        results: Results,
        *,
        at_once: int = AT_ONCE,
        run_seconds: float = 900.0,
        before_start: Callable[[int], Awaitable[None]] | None = None,
        while_running: Callable[[Job, UUID], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`before_start` holds a run back (it gets the number of those started before); `while_running` may do
        something to it."""
        self._stack = stack
        self._results = results
        self._before_start = before_start
        self._while_running = while_running
        self._count = 0
        self._slots = asyncio.Semaphore(at_once)
        self._run_seconds = run_seconds
        self._waiting: dict[UUID, asyncio.Future[Row]] = {}

    async def all(self, jobs: Sequence[Job], tell: Callable[[Ended], None] = lambda ended: None) -> list[Ended]:
        """Every job's end, in the jobs' order; those that the results file already has are taken from it."""
        before = self._results.read()
        poll = asyncio.create_task(self._poll())
        try:
            return list(await asyncio.gather(*(self._one(job, before.get(job.name), tell) for job in jobs)))
        finally:
            poll.cancel()
            with suppress(asyncio.CancelledError):
                await poll

    async def _one(self, job: Job, known: Ended | None, tell: Callable[[Ended], None]) -> Ended:
        if known is not None:
            return known
        async with self._slots:
            if self._before_start is not None:
                await self._before_start(self._count)
            self._count += 1
            try:
                run_id = await start(self._stack, job)
                async with asyncio.TaskGroup() as group:
                    if self._while_running is not None:
                        group.create_task(self._while_running(job, run_id))
                    ended = await self._end(job, run_id)
            except Refused as refused:
                ended = Ended(name=job.name, run_id=None, status="REFUSED", error=str(refused))
        self._results.add(ended)
        tell(ended)
        return ended

    async def _end(self, job: Job, run_id: UUID) -> Ended:
        future = self._waiting[run_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._run_seconds):
                row = await future
        except TimeoutError:
            return Ended(name=job.name, run_id=run_id, status="NEVER_ENDED", seconds=self._run_seconds)
        finally:
            self._waiting.pop(run_id, None)
        detail = f"({row['outcome_detail']})" if row["outcome_detail"] else ""
        return Ended(
            name=job.name,
            run_id=run_id,
            status=row["status"],
            outcome=f"{row['outcome_kind']}{detail}",
            iterations=row["iterations"],
            seconds=round(row["seconds"], 2),
            error=(row["error"] or {}).get("message"),
        )

    async def _poll(self) -> None:
        """One query for all that run; a database that is away is asked again."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if not self._waiting:
                continue
            with suppress(psycopg.OperationalError):
                for row in await asyncio.to_thread(self._stack.sql, ENDS, list(self._waiting)):
                    future = self._waiting.get(row["id"])
                    if future is not None and not future.done():
                        future.set_result(row)


async def start(stack: LocalStack, job: Job) -> UUID:
    """Raises Refused with the API's words."""
    return UUID((await ask(stack, "/runs", job.body, key=f"start {job.name}"))["run_id"])


async def ask(stack: LocalStack, path: str, body: dict[str, Any], *, key: str) -> dict[str, Any]:
    """POST under an idempotency key, again and again while the API is away. Raises Refused with the API's words."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            async with stack.api() as api:
                answer = await api.post(path, json=body, headers={"Idempotency-Key": key})
            if answer.status_code not in TRY_AGAIN:
                break
            problem = answer.text
        except httpx.TransportError as error:
            problem = repr(error)
        if time.monotonic() > deadline:
            raise Refused(f"POST {path} ({key}) had no answer in {START_SECONDS:.0f} s: {problem}")
        await asyncio.sleep(POLL_SECONDS)
    if answer.is_error:
        raise Refused(f"POST {path} ({key}) was refused ({answer.status_code}): {answer.text}")
    answered: dict[str, Any] = answer.json()
    return answered
