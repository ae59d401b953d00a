"""Keeps a list of steps up: starts each when those it waits for are ready, starts it again when it dies.

The supervisor holds nothing that its children need: killed, it leaves them running, and the next one adopts them by
their lock files. It knows no step by name; `cli.stack.plan` lists them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from subprocess import Popen

from cli.stack import log_files
from cli.stack.ports import is_free
from cli.stack.process import (
    ALREADY_RUNNING,
    Record,
    Service,
    last_lines,
    launch,
    read_record,
    start_token,
    stop,
    wait_gone,
)
from cli.stack.state import ProcessStatus, StepState
from domain.errors import MillwrightError

POLL_SECONDS = 0.1
STEADY_SECONDS = 30.0
"""Up for so long, a process has its backoff forgotten."""
BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
LOG_CHECK_SECONDS = 30.0


class PortTaken(Exception):
    """A step could not start because its port belongs to somebody else by now: the plan must be made anew."""


@dataclass(frozen=True)
class Step:
    """One process to keep up, or (`once`) one task to run to its end."""

    service: Service
    ready: Callable[[Record], bool]
    after: frozenset[str] = frozenset()
    once: bool = False
    ports: tuple[int, ...] = ()
    address: str | None = None
    prepare: Callable[[], None] = lambda: None
    """Called before each start."""
    finished: Callable[[str], None] = lambda text: None
    """Of a task: gets what it printed."""

    @property
    def name(self) -> str:
        return self.service.name


class Supervisor:
    """`changed` is called with each new picture of all steps."""

    def __init__(self, steps: Sequence[Step], changed: Callable[[dict[str, ProcessStatus]], None]) -> None:
        self._steps = steps
        self._changed = changed
        self._ready = {step.name: asyncio.Event() for step in steps}
        self._children: dict[str, Popen[bytes]] = {}
        self._status = {step.name: ProcessStatus(log=str(step.service.log), address=step.address) for step in steps}

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set; then all steps are ended, the last started first. Raises PortTaken."""
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(step)) for step in self._steps]
            keepers.append(group.create_task(self._keep_logs_small()))
            await stopping.wait()
            for keeper in keepers:
                keeper.cancel()
        await asyncio.to_thread(self._stop_all)

    def _stop_all(self) -> None:
        for step in reversed(self._steps):
            stop_service(step.service, self._children.get(step.name))
            self._tell(step, state="stopped", pid=None, started=None)

    async def _keep(self, step: Step) -> None:
        ended_early = 0
        while True:
            for name in step.after:
                await self._ready[name].wait()
            started_at = time.monotonic()
            record = await asyncio.to_thread(read_record, step.service.lock)
            if record and record.fingerprint != step.service.fingerprint:
                await asyncio.to_thread(stop_service, step.service)  # it runs with addresses that are no longer true
                record = None
            child: Popen[bytes] | None = None
            offset = record.log_offset if record else log_files.size(step.service.log)
            if record is None:
                try:
                    await asyncio.to_thread(step.prepare)
                    self._children[step.name] = child = launch(step.service)
                    record = await self._introduced(step, child)
                except (MillwrightError, OSError) as error:
                    self._failed(step, f"could not be started: {error}")
                    await asyncio.sleep(_backoff(ended_early))
                    ended_early += 1
                    continue
            if record and await self._until_ready(step, record):
                self._tell(step, state="ready", failures=0, problem=None, took_seconds=time.monotonic() - started_at)
                self._ready[step.name].set()
                await self._until_gone(record)
                self._ready[step.name].clear()
            if await self._ended(step, child, offset):
                self._tell(step, state="done", took_seconds=time.monotonic() - started_at)
                self._ready[step.name].set()
                return
            ended_early = 0 if time.monotonic() - started_at > STEADY_SECONDS else ended_early + 1
            await asyncio.sleep(_backoff(ended_early - 1))

    async def _introduced(self, step: Step, child: Popen[bytes]) -> Record | None:
        """The launcher's record of itself; None when it died before it could write one."""
        self._tell(step, state="starting", pid=child.pid, started=start_token(child.pid))
        while child.poll() is None:
            record = await asyncio.to_thread(read_record, step.service.lock)
            if record and record.pid == child.pid:
                return record
            await asyncio.sleep(0.02)
        return None

    async def _until_ready(self, step: Step, record: Record) -> bool:
        self._tell(step, state="starting", pid=record.pid, started=record.started)
        while not self._gone(record):
            if not step.once and await asyncio.to_thread(step.ready, record) and record.alive:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _until_gone(self, record: Record) -> None:
        while not self._gone(record):  # noqa: ASYNC110 - there is no event: an adopted process is not our child
            await asyncio.sleep(POLL_SECONDS)

    async def _ended(self, step: Step, child: Popen[bytes] | None, offset: int) -> bool:
        """What is to be done about its end; True when the step is over for good."""
        code = child.poll() if child else None
        if step.once and child is None:
            return False  # a task of the supervisor before us: how it ended is not known, so it runs again
        if step.once and code == 0:
            try:
                step.finished(log_files.read_from(step.service.log, offset))
            except OSError as error:
                self._failed(step, f"what it printed could not be kept: {error}")
                return False
            self._tell(step, state="starting", pid=None, started=None, failures=0, problem=None)
            return True
        was_ready = self._status[step.name].state == "ready"
        how = "ended" if code is None else f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        self._failed(step, "\n".join([how, *last_lines(step.service.log, offset)]))
        own_remnants = was_ready or code == ALREADY_RUNNING
        if not own_remnants and (taken := [port for port in step.ports if not is_free(port)]):
            raise PortTaken(f"port {taken[0]} of {step.name}")
        return False

    def _failed(self, step: Step, problem: str) -> None:
        status = self._status[step.name]
        failures = status.failures if status.state == "ready" else status.failures + 1
        restarts = status.restarts + 1
        self._tell(step, state="backoff", pid=None, started=None, problem=problem, failures=failures, restarts=restarts)

    async def _keep_logs_small(self) -> None:
        while True:
            for step in self._steps:
                await asyncio.to_thread(log_files.shrink, step.service.log)
            await asyncio.sleep(LOG_CHECK_SECONDS)

    @staticmethod
    def _gone(record: Record) -> bool:
        return wait_gone(record, 0)

    def _tell(self, step: Step, *, state: StepState, **changes: object) -> None:
        self._status[step.name] = self._status[step.name].model_copy(update={"state": state, **changes})
        with suppress(OSError):  # a full disk ends nothing: the picture is written again with the next change
            self._changed(dict(self._status))


def stop_service(service: Service, child: Popen[bytes] | None = None) -> None:
    """End whoever holds its lock, gently first; a child that has not even taken the lock yet, at once."""
    while (record := read_record(service.lock)) is None and child is not None and child.poll() is None:
        child.kill()
        child.wait()
    if record:
        stop(record, service.stop_signals)


def _backoff(ended_early: int) -> float:
    return BACKOFF_SECONDS[max(0, min(ended_early, len(BACKOFF_SECONDS) - 1))]
