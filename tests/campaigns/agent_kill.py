"""`python -m tests.campaigns.agent_kill`: workers are killed at random moments inside agent phases of thirty turns.

Two workers run, each with a state folder that the other cannot read; only record and artifact store are shared. A
*point* is a phase that was under way in a worker when that got SIGKILL. At the end every run has the tree of an
undisturbed one, no answered call was asked again, and no effect outside happened twice. docs/campaigns.md tells more.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console

from adapters.store.catalogue import PostgresCatalogue
from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.temporal import TemporalServer
from domain.models.policy import ProviderKind, ProviderSettings
from tests.campaigns import agent_turns
from tests.campaigns.agent_provider import Outside, outside
from tests.support.databases import Database, make_template, new_database
from tests.support.scratch import scratch_folder
from tests.support.temporal_program import temporal_program
from tests.workflows.world import World, world

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 6
READY_SECONDS = 60.0
END_SECONDS = 600.0
PAUSE_SECONDS = (0.3, 2.5)
"""Between two kills, at random."""
RUNNING = (
    "SELECT e.id, e.attempt_id, e.worker, a.turns FROM execution e JOIN attempt a ON a.id = e.attempt_id"
    " WHERE e.status = 'running' AND a.phase = 'implement'"
)


@dataclass
class WorkerProcess:
    """One of the two; killed and started again with its own folder."""

    name: str
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    pids: set[int] = field(default_factory=set)

    async def start(self) -> None:
        before = self.log.stat().st_size if self.log.exists() else 0
        self.process = self._started()
        self.pids.add(self.process.pid)
        async with asyncio.timeout(READY_SECONDS):
            while b'"event": "ready"' not in self.log.read_bytes()[before:]:
                assert self.process.poll() is None, self.log.read_text()[-2000:]
                await asyncio.sleep(0.05)

    def _started(self) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "worker"]
        with self.log.open("ab") as log:
            return subprocess.Popen(argv, cwd=ROOT, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class Report:
    points: int = 0
    kills: int = 0
    by_turn: Counter[int] = field(default_factory=Counter)
    runs: int = 0
    elsewhere: int = 0
    """Executions that went on with what another worker had begun."""
    calls_lost: int = 0
    may_have_happened: int = 0
    """Runs that ended because an unsafe call was under way."""
    problems: list[str] = field(default_factory=list)

    def lines(self) -> str:
        words = {
            "points": self.points,
            "kills": self.kills,
            "turns hit": len(self.by_turn),
            "runs": self.runs,
            "gone on elsewhere": self.elsewhere,
            "model calls in flight, lost and shown": self.calls_lost,
            "ended at an unsafe call under way": self.may_have_happened,
            "problems": self.problems,
        }
        return json.dumps(words)


@dataclass
class AgentKill:
    world: World
    outside: Outside
    workers: list[WorkerProcess]
    seed: int = 0
    report: Report = field(default_factory=Report)
    pipelines: dict[bool, str] = field(default_factory=dict)
    models: dict[bool, str] = field(default_factory=dict)
    trees: dict[bool, str] = field(default_factory=dict)
    repository: str = ""
    tell: Callable[[str], None] = lambda line: None

    async def prepare(self, delay_seconds: float) -> None:
        """The scripts, and one undisturbed run of each kind: its tree is what all others must have."""
        self.repository = str(self.world.repository(agent_turns.FILES))
        for unsafe in (False, True):
            path = self.world.folder / f"agent-{unsafe}.yaml"
            url = self.outside.effect_url if unsafe else None
            agent_turns.write_script(path, effect_url=url, delay_seconds=delay_seconds)
            self.models[unsafe] = f"wire:{path}"
            self.pipelines[unsafe] = await self.world.publish(agent_turns.pipeline(unsafe=unsafe))
        for unsafe in (False, True):
            handle = await self._start(unsafe)
            row = await self.world.end_of(handle)
            assert row["status"] == "SUCCEEDED", row["error"]
            attempt = await self._attempt(row["id"])
            assert attempt["turns"] == agent_turns.TURNS
            self.trees[unsafe] = attempt["tree_after"]

    async def run(self, points: int) -> Report:
        """Kills until so many phases were hit, then lets every run end and looks at all of them."""
        chance = random.Random(self.seed)
        asked_before = self.outside.asked
        handles: list[Any] = []
        while self.report.points < points:
            running = await self.world.rows("SELECT id FROM run WHERE finished_at IS NULL")
            for _ in range(AT_ONCE - len(running)):
                handles.append(await self._start(len(handles) % 2 == 1))
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
            worker = chance.choice(self.workers)
            worker.signal(signal.SIGKILL)
            await self._count(worker)
            await worker.start()
        ends = [await self._ended(handle) for handle in handles]
        self.report.runs = len(ends)
        for row in ends:
            await self._check(row)
        await self._check_all(ends, self.outside.asked - asked_before)
        return self.report

    async def _count(self, worker: WorkerProcess) -> None:
        hit = [row for row in await self.world.rows(RUNNING) if int(row["worker"].rpartition(":")[2]) in worker.pids]
        self.report.kills += 1
        self.report.points += len(hit)
        self.report.by_turn.update(row["turns"] for row in hit)
        self.tell(f"kill {self.report.kills} hit {len(hit)} phases: {self.report.points} points")

    async def _start(self, unsafe: bool) -> Any:
        settings = {"model": self.models[unsafe]}
        return await self.world.start(self.pipelines[unsafe], repo=self.repository, settings=settings)

    async def _ended(self, handle: Any) -> dict[str, Any]:
        async with asyncio.timeout(END_SECONDS):
            while True:
                row = await self.world.row(
                    "SELECT * FROM run WHERE workflow_id = %s AND finished_at IS NOT NULL", handle.id
                )
                if row is not None:
                    return row
                await asyncio.sleep(0.2)

    async def _attempt(self, run_id: UUID) -> dict[str, Any]:
        row = await self.world.row("SELECT * FROM attempt WHERE run_id = %s AND phase = 'implement'", run_id)
        assert row is not None
        return row

    async def _check(self, run: dict[str, Any]) -> None:
        attempt = await self._attempt(run["id"])
        unsafe = run["pipeline_name"] == self.pipelines[True]
        effects = {name: count for name, count in self.outside.effects.items() if name.startswith(str(run["id"]))}
        twice = [name for name, count in effects.items() if count > 1]
        if twice:
            self._wrong(run, f"effects outside happened twice: {twice}")
        if run["status"] != "SUCCEEDED":
            message = (run["error"] or {}).get("message", "")
            if unsafe and "may have happened" in message:
                self.report.may_have_happened += 1
            else:
                self._wrong(run, f"ended as {run['outcome_kind']}: {message}")
            return
        if attempt["tree_after"] != self.trees[unsafe]:
            self._wrong(run, f"another tree: {attempt['tree_after']} instead of {self.trees[unsafe]}")
        if unsafe and len(effects) != len(agent_turns.UNSAFE_TURNS):
            self._wrong(run, f"effects outside are missing: {sorted(effects)}")
        await self._check_record(run, attempt)

    async def _check_record(self, run: dict[str, Any], attempt: dict[str, Any]) -> None:
        calls = await self.world.rows(
            "SELECT key, status FROM step WHERE attempt_id = %s AND kind = 'model_call'", attempt["id"]
        )
        answered = Counter(call["key"] for call in calls if call["status"] == "done")
        if answered != {f"turn#{number}": 1 for number in range(1, agent_turns.TURNS + 1)}:
            self._wrong(run, f"answered calls: {dict(answered)}")
        self.report.calls_lost += sum(call["status"] == "lost" for call in calls)
        numbers = await self.world.rows(
            "SELECT number FROM agent_segment WHERE attempt_id = %s ORDER BY number", attempt["id"]
        )
        if [row["number"] for row in numbers] != list(range(len(numbers))):
            self._wrong(run, "the segments of the conversation have a hole")
        executions = await self.world.rows(
            "SELECT worker FROM execution WHERE attempt_id = %s ORDER BY number", attempt["id"]
        )
        names = [self._folder_of(row["worker"]) for row in executions]
        self.report.elsewhere += sum(here != there for here, there in pairwise(names))

    async def _check_all(self, ends: list[dict[str, Any]], asked: int) -> None:
        ids = [row["id"] for row in ends]
        rows = await self.world.rows(
            "SELECT status, count(*) AS n FROM step WHERE run_id = ANY(%s) AND kind = 'model_call' GROUP BY status", ids
        )
        steps = {row["status"]: row["n"] for row in rows}
        if not steps.get("done", 0) <= asked <= sum(steps.values()):
            self.report.problems.append(f"{asked} requests to the model, but steps: {steps}")
        left = await self.world.rows("SELECT pool, phase FROM permit WHERE pool <> 'reconciler'")
        if left:
            self.report.problems.append(f"permits are left: {left}")

    def _folder_of(self, worker: str) -> str:
        pid = int(worker.rpartition(":")[2])
        return next((each.name for each in self.workers if pid in each.pids), "?")

    def _wrong(self, run: dict[str, Any], what: str) -> None:
        self.report.problems.append(f"run {run['id']}: {what}")


@asynccontextmanager
async def agent_kill(
    database: Database, temporal_address: str, folder: Path, *, seed: int = 0, delay_seconds: float = 0.1
) -> AsyncIterator[AgentKill]:
    """Two workers at work, and what is outside of them."""
    async with AsyncExitStack() as stack:
        around = await stack.enter_async_context(outside())
        made = await stack.enter_async_context(world(database, temporal_address, folder, serving=False))
        catalogue = PostgresCatalogue(made.composition.database)
        policy = await catalogue.policy(made.org_id)
        wire = ProviderSettings(name="wire", kind=ProviderKind.OPENAI_COMPATIBLE, base_url=around.base_url)
        await catalogue.save_policy(
            made.org_id, policy.model_copy(update={"providers": (*policy.providers, wire)}), actor="campaign"
        )
        workers = [
            worker_process(name, database, temporal_address, folder, folder / f"state-{name}")
            for name in ("one", "two")
        ]
        for worker in workers:
            stack.callback(worker.stop)
        await asyncio.gather(*(worker.start() for worker in workers))
        campaign = AgentKill(made, around, workers, seed)
        await campaign.prepare(delay_seconds)
        yield campaign


def worker_process(
    name: str, database: Database, temporal_address: str, folder: Path, state: Path, **more: str
) -> WorkerProcess:
    """A worker of its own state folder; record and artifact store are shared."""
    state.mkdir(exist_ok=True)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "DATABASE_URL": database.app_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "MILLWRIGHT_STATE_DIR": str(state),
        "MILLWRIGHT_ARTIFACT_URL": (folder / "artifacts").as_uri(),
        "MILLWRIGHT_HEARTBEAT_SECONDS": "3",
        "MILLWRIGHT_DRAIN_SECONDS": "0",
        **more,
    }
    return WorkerProcess(name, env, folder / f"worker-{name}.log")


async def _main(points: int, seed: int) -> int:
    with scratch_folder("agent-kill") as folder:
        postgres = Postgres(folder / "postgres", any_free(), fast=True, data_root=folder)
        temporal = TemporalServer(binary=temporal_program(), port=any_free(), folder=folder, metrics_port=any_free())
        with postgres.running() as server, temporal.running(), new_database(server, make_template(server)) as database:
            async with agent_kill(database, temporal.address, folder, seed=seed) as campaign:
                campaign.tell = Console(highlight=False).print
                report = await campaign.run(points)
    print(report.lines())
    return 1 if report.problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.agent_kill", description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    return asyncio.run(_main(asked.points, asked.seed))


if __name__ == "__main__":
    sys.exit(main())
