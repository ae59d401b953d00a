"""Two real workers at agent phases, with points at which they can be struck."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.failpoints import AgentPoint, Point
from tests.campaigns.agent_kill import WorkerProcess, worker_process
from tests.support.databases import Database
from tests.workflows.world import ENOUGH_SECONDS, World, world


@dataclass
class Workers:
    world: World
    points: Path
    one: WorkerProcess
    two: WorkerProcess

    async def strike(self, point: Point | AgentPoint, run: Any, *, turns: int, name: str = "SIGKILL") -> WorkerProcess:
        """The signal at that point, once the agent has recorded so many turns; the worker that was hit."""
        await self.until(run, lambda attempt: attempt["turns"] >= turns)
        struck = self.points / f"{point}.kills"
        before = struck.stat().st_size if struck.exists() else 0
        arm = self.points / f"{point}.arm"
        arm.with_suffix(".new").write_text(name)
        arm.with_suffix(".new").rename(arm)
        async with asyncio.timeout(ENOUGH_SECONDS):
            while not struck.exists() or struck.stat().st_size == before:  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.02)
        running = await self.world.row(
            "SELECT e.worker FROM execution e JOIN run r ON r.id = e.run_id WHERE r.workflow_id = %s"
            " ORDER BY e.started_at DESC LIMIT 1",
            run.id,
        )
        assert running is not None
        pid = int(running["worker"].rpartition(":")[2])
        hit = self.one if pid in self.one.pids else self.two
        if name == "SIGKILL":
            assert hit.process is not None
            await asyncio.to_thread(hit.process.wait, 10)
            assert hit.process.returncode == -signal.SIGKILL
        return hit

    async def until(self, run: Any, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The agent's attempt, once it is so."""
        async with asyncio.timeout(ENOUGH_SECONDS):
            while True:
                attempt = await self.world.row(
                    "SELECT a.* FROM attempt a JOIN run r ON r.id = a.run_id"
                    " WHERE r.workflow_id = %s AND a.phase = 'implement' ORDER BY a.iteration DESC LIMIT 1",
                    run.id,
                )
                if attempt is not None and reached(attempt):
                    return attempt
                await asyncio.sleep(0.02)


@asynccontextmanager
async def workers(
    database: Database, temporal_address: str, folder: Path, *, shared_folder: bool = False
) -> AsyncIterator[Workers]:
    """`shared_folder`: both have the same state folder, and so the same worktrees."""
    points = folder / "points"
    points.mkdir()
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(world(database, temporal_address, folder, serving=False))
        states = [folder / ("state-shared" if shared_folder else f"state-{name}") for name in ("one", "two")]
        both = [
            worker_process(name, database, temporal_address, folder, state, MILLWRIGHT_FAILPOINTS=str(points))
            for name, state in zip(("one", "two"), states, strict=True)
        ]
        for each in both:
            stack.callback(each.stop)
        await asyncio.gather(*(each.start() for each in both))
        yield Workers(made, points, *both)
