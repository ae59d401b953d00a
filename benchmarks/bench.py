"""What every row measures with: one stack with default settings, the floor's worker beside ours, checked counts."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import yaml
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from benchmarks.local_stack import ROOT, LocalStack
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE

SCRIPT = {"replies": [{"text": "A short answer."}], "usage": {"tokens_in": 10, "tokens_out": 5, "billed_usd": "0.0001"}}
COMMITS_TIMED = 200


@dataclass(frozen=True)
class Figure:
    """One JSON line: `{"name", "ours", "reference", "unit", "ratio"}`, and how it stands to its bar."""

    name: str
    ours: float
    reference: float
    unit: str
    ratio: float
    bar: str = ""
    met: bool = True


@dataclass
class Bench:
    """Given to each row."""

    stack: LocalStack
    client: Client
    model: str
    repo: Path
    folder: Path
    sink_url: str
    published: set[str] = field(default_factory=set)

    async def publish(self, name: str, phases: list[dict[str, Any]], *, needs_workspace: bool = False) -> None:
        """A pipeline of these phases; model phases speak a short prompt."""
        if name in self.published:
            return
        document = {"name": name, "needs_workspace": needs_workspace, "phases": phases}
        body = {"yaml": yaml.safe_dump(document), "prompts": {"say.md": "Say something short.\n"}}
        async with self.stack.api() as api:
            answer = await api.post("/api/v1/pipelines", json=body)
        assert answer.status_code == 201, answer.text
        self.published.add(name)

    def input(self, pipeline: str, **settings: Any) -> dict[str, Any]:
        """As a person would give it to `temporal workflow start --type Run`."""
        return {"task": "bench", "pipeline": pipeline, "settings": {"model": self.model, **settings}}

    async def run_by_hand(self, pipeline: str) -> None:
        """Ours: started by the Temporal client, until it ended well."""
        await self.client.execute_workflow(
            RUN_WORKFLOW, self.input(pipeline), id=f"bench-{uuid4()}", task_queue=TASK_QUEUE
        )

    def count(self, query: str, *values: object) -> int:
        rows = self.stack.sql(f"SELECT count(*) AS n FROM {query}", *values)
        return int(rows[0]["n"])

    def check_counts(self, pipeline: str, *, runs: int, phases: int, waits: int = 0) -> None:
        """That nothing was left out: each run ended well, with all its rows and events, and gave its permits back."""
        of = "run r WHERE r.pipeline_name = %s"
        inside = "IN (SELECT id FROM run WHERE pipeline_name = %s)"
        expected = {
            f"{of} AND r.status = 'SUCCEEDED'": runs,
            f"attempt WHERE status = 'passed' AND run_id {inside}": runs * phases,
            f"execution WHERE status = 'done' AND run_id {inside}": runs * phases,
            f"step WHERE status = 'done' AND run_id {inside}": runs * phases,
            f"run_event WHERE run_id {inside}": runs * (3 + 2 * phases) + waits,
            f"permit WHERE run_id {inside}": 0,
        }
        found = {query: self.count(query, pipeline) for query in expected}
        assert found == expected, f"rows of {pipeline} that are not as they should be: {found}, not {expected}"


def model_phases(count: int) -> list[dict[str, Any]]:
    return [{"name": f"say-{number}", "kind": "model", "prompt": "say.md"} for number in range(1, count + 1)]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def bounded(count: int, at_once: int, work: Callable[[], Awaitable[object]]) -> None:
    """`work` so many times, some of them at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with slots:
            await work()

    await asyncio.gather(*(one() for _ in range(count)))


def paired(ours: list[float], reference: list[float]) -> tuple[float, float, float]:
    """Median of ours, of the reference, and of the ratios pair by pair."""
    ratios = [mine / other for mine, other in zip(ours, reference, strict=True)]
    return statistics.median(ours), statistics.median(reference), statistics.median(ratios)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Bench]:
    """The stack as `millwright up` starts it, telemetry sent to a collector that counts, and the floor's worker."""
    async with _process("benchmarks.collector", {}) as (_, sink_url):
        stack = LocalStack(folder / "stack", {"OTEL_EXPORTER_OTLP_ENDPOINT": sink_url})
        with stack.running():
            address = stack.status.temporal_address
            async with _process("benchmarks.bare", {"TEMPORAL_ADDRESS": address}):
                client = await Client.connect(address, data_converter=pydantic_data_converter)
                script = folder / "script.yaml"
                script.write_text(yaml.safe_dump(SCRIPT))
                yield Bench(stack, client, f"scripted:{script}", _repository(folder / "repo"), folder, sink_url)


@asynccontextmanager
async def _process(module: str, extra: dict[str, str]) -> AsyncIterator[tuple[int, str]]:
    """A Python module of ours until the end; it says `ready`, and what else it has to say on the same line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, cwd=ROOT, env={**os.environ, **extra}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        assert line[:1] == ["ready"], f"{module} did not start"
        yield process.pid, line[1] if len(line) > 1 else ""
    finally:
        process.kill()
        await process.wait()


def _repository(repo: Path) -> Path:
    repo.mkdir()
    (repo / "readme.txt").write_text("A repository to work in.\n")
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Start"]):
        subprocess.run(["git", "-C", str(repo), *identity, *words], check=True)
    return repo


def durability(stack: LocalStack) -> tuple[str, str, float]:
    """`fsync`, `synchronous_commit`, and milliseconds of one bare commit (median)."""
    with psycopg.connect(stack.admin_url, autocommit=True) as connection:
        shown = [str(row[0]) for name in ("fsync", "synchronous_commit") if (row := _one(connection, f"SHOW {name}"))]
        connection.execute("CREATE TABLE bench_commit (n int)")
        times = []
        for number in range(COMMITS_TIMED):
            began = time.perf_counter()
            connection.execute("INSERT INTO bench_commit VALUES (%s)", [number])
            times.append(time.perf_counter() - began)
        connection.execute("DROP TABLE bench_commit")
    return shown[0], shown[1], statistics.median(times) * 1000


def _one(connection: psycopg.Connection[Any], text: str) -> Any:
    return connection.execute(text.encode()).fetchone()
