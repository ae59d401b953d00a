"""Kills what the campaign's own stack started, one blow after the other.

An aimed kill finds its process at work by itself, so the next point is armed as soon as one is hit; any other blow
waits until the stack is whole again.
"""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel

from benchmarks.local_stack import Known, LocalStack
from domain.failpoints import Point

PROCESSES = ("worker", "api", "temporal", "postgres", "supervisor")
STOPPED_SECONDS = 5.0
"""Past the campaign's heartbeat timeout of 3 s: meanwhile Temporal gives the work to the next execution."""
HIT_SECONDS = 90.0
"""An armed point that no run reaches in this time is given up, and comes again at the end of the list."""
HUNGRY_SECONDS = 1.0
"""Not hit for so long, there is too little at work: another run is let go."""
READY_SECONDS = 120.0
CALM_SECONDS = (0.0, 1.0)
"""Before a blow that is not aimed, at random."""
BEFORE_A_NEW_SUPERVISOR = 3
"""Blows that kill a worker, after which the supervisor is killed too: it waits longer before each restart of a
process that keeps dying, and a new one has no such memory."""


class Means(StrEnum):
    AIMED_KILL = "aimed kill"
    """SIGKILL when a process reaches the point."""
    AIMED_STOP = "aimed stop"
    """SIGSTOP there, SIGCONT after the heartbeat timeout."""
    KILL = "kill"
    STOP = "stop"


@dataclass(frozen=True)
class Blow:
    means: Means
    target: str
    """A point, or a process."""


class Progress(BaseModel):
    """Of this campaign over all its continuations; hits of points are counted by their files."""

    done: int = 0
    """Blows of the plan."""
    killed: dict[str, int] = dict.fromkeys(PROCESSES, 0)
    """By process, aimed and not."""
    stopped: int = 0
    stopped_at: dict[str, int] = {}
    """By point: those of the stops that were aimed."""
    given_up: int = 0
    """Points that no run reached in time, tried twice."""


def make_plan(runs: int, seed: int) -> list[Blow]:
    """At least one blow at every point and every process; more with more runs. Shuffled by the seed, with the
    supervisor in between."""
    times = max(1, runs // 60)
    blows = [Blow(Means.AIMED_KILL, point) for point in Point] * times
    blows += [Blow(Means.AIMED_STOP, Point.PHASE_AFTER_EFFECT), Blow(Means.STOP, "worker")] * times
    blows += [Blow(Means.KILL, process) for process in PROCESSES if process != "supervisor"] * times
    random.Random(seed).shuffle(blows)
    return list(_with_supervisor(blows))


def _with_supervisor(blows: list[Blow]) -> Iterator[Blow]:
    for number, blow in enumerate(blows, 1):
        yield blow
        if number % BEFORE_A_NEW_SUPERVISOR == 0 or number == len(blows):
            yield Blow(Means.KILL, "supervisor")


class Killer:
    def __init__(self, stack: LocalStack, points: Path, plan: list[Blow], seed: int, progress_file: Path) -> None:
        self._stack = stack
        self._points = points
        self._plan = plan
        self._random = random.Random(seed)
        self._file = progress_file
        self.wants_a_run = False
        """Nothing comes to the armed point."""
        self.progress = (
            Progress.model_validate_json(progress_file.read_text()) if progress_file.exists() else Progress()
        )

    @property
    def share_done(self) -> float:
        return min(1.0, self.progress.done / max(1, len(self._plan)))

    async def run(self) -> None:
        """What is left of the plan; a point that was not reached is tried once more at the end."""
        missed = []
        for blow in self._plan[self.progress.done :]:
            if not await self._strike(blow):
                missed.append(blow)
            self.progress.done += 1
            self._file.write_text(self.progress.model_dump_json())
        for blow in missed:
            self.progress.given_up += not await self._strike(blow)
        await self._whole_again()
        self._file.write_text(self.progress.model_dump_json())

    async def _strike(self, blow: Blow) -> bool:
        if blow.means is Means.AIMED_KILL:
            return await self._aim(Point(blow.target), "SIGKILL")
        if blow.target != "supervisor":  # that one dies while what it keeps up is down, too
            await self._whole_again()
            await asyncio.sleep(self._random.uniform(*CALM_SECONDS))
        match blow.means:
            case Means.AIMED_STOP:
                struck = await self._aim(Point(blow.target), "SIGSTOP")
            case Means.KILL:
                struck = await self._kill(blow.target)
            case Means.STOP:
                struck = await self._stop()
        await self._whole_again()
        return struck

    async def _aim(self, point: Point, name: str) -> bool:
        """The first process that reaches the point gives itself the signal."""
        seen: set[Known] = set()
        before = self.signals(point)
        arm = self._points / f"{point}.arm"
        arm.with_suffix(".new").write_text(name)
        arm.with_suffix(".new").rename(arm)
        deadline, hungry_at = time.monotonic() + HIT_SECONDS, time.monotonic() + HUNGRY_SECONDS
        while self.signals(point) == before:
            here = {process for name in ("worker", "api") if (process := self._stack.process(name))}
            if len(here) < 2:  # one of them was just killed
                hungry_at = time.monotonic() + HUNGRY_SECONDS
            seen |= here
            self.wants_a_run = time.monotonic() > hungry_at
            if time.monotonic() > deadline:
                arm.unlink(missing_ok=True)
                break
            await asyncio.sleep(0.05)
        self.wants_a_run = False
        if self.signals(point) == before:
            return False
        if name == "SIGSTOP":
            await self._let_go_later(list(seen))
            self.progress.stopped_at[point] = self.progress.stopped_at.get(point, 0) + 1
            return True
        await asyncio.sleep(0.2)
        for process in seen:
            self.progress.killed[process.name] += not process.alive
        return True

    async def _kill(self, name: str) -> bool:
        process = self._stack.process(name)
        if process is None or not process.signal(signal.SIGKILL):
            return False
        while process.alive:  # noqa: ASYNC110 - the kernel does not tell us
            await asyncio.sleep(0.01)
        self.progress.killed[name] += 1
        return True

    async def _stop(self) -> bool:
        worker = self._stack.process("worker")
        if worker is None or not worker.signal(signal.SIGSTOP):
            return False
        await self._let_go_later([worker])
        return True

    async def _let_go_later(self, stopped: list[Known]) -> None:
        try:
            await asyncio.sleep(STOPPED_SECONDS)
        finally:
            for process in stopped:
                process.signal(signal.SIGCONT)
        self.progress.stopped += 1

    async def _whole_again(self) -> None:
        """Every process lives and was ready. Raises TimeoutError naming what is not."""
        deadline = time.monotonic() + READY_SECONDS
        while missing := [name for name in PROCESSES if not self._is_ready(name, self._stack.process(name))]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready {READY_SECONDS:.0f} s after a kill: {', '.join(missing)}")
            if "supervisor" in missing:
                await asyncio.to_thread(self._stack.up)
            await asyncio.sleep(0.1)

    def _is_ready(self, name: str, process: Known | None) -> bool:
        if process is None or name == "supervisor":
            return process is not None
        told = self._stack.status.processes.get(name)
        return told is not None and told.pid == process.pid and told.state == "ready"

    def hits(self, point: Point) -> int:
        return _size(self._points / f"{point}.hits")

    def signals(self, point: Point) -> int:
        """Kills and stops."""
        return _size(self._points / f"{point}.kills")

    def kills(self, point: Point) -> int:
        return self.signals(point) - self.progress.stopped_at.get(point, 0)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
