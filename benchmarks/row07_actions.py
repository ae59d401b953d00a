"""Row 7: Temporal actions per phase, counted from the SDK's own request metrics of the worker.

An activity is one action when it is scheduled, one for each retry, and one for each heartbeat that reaches the server.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import WorkflowHandle

from benchmarks.bench import Bench, Figure, bounded, model_phases
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE

SHORT_RUNS, SHORT_PHASES = 20, 5
MOST_OF_A_SHORT_PHASE = 2.0
"""One, and the first heartbeat, which nothing throttles, when the worker's ticker happens to meet the phase."""
LONG_SECONDS = 75
HEARTBEAT_SECONDS = 30.0
"""The default."""
HELD_SECONDS = 8.0
WAITS = """SELECT id, waiting_until, result IS NOT NULL FROM attempt
           WHERE run_id IN (SELECT id FROM run WHERE pipeline_name = 'bench-waiting')"""
WAITING_RUNS = 8


@dataclass(frozen=True)
class Requests:
    """Of the worker, since it started."""

    completed: float
    failed: float
    heartbeats: float

    @property
    def actions(self) -> float:
        return self.completed + self.failed + self.heartbeats

    def since(self, before: "Requests") -> "Requests":
        return Requests(
            self.completed - before.completed, self.failed - before.failed, self.heartbeats - before.heartbeats
        )


async def measure(bench: Bench) -> list[Figure]:
    return [await _short(bench), await _long(bench), await _waiting(bench)]


async def _short(bench: Bench) -> Figure:
    await bench.publish("bench-short", model_phases(SHORT_PHASES))
    before = await requests(bench)
    await bounded(SHORT_RUNS, 4, partial(bench.run_by_hand, "bench-short"))
    used = (await requests(bench)).since(before)
    phases = SHORT_RUNS * SHORT_PHASES
    bench.check_counts("bench-short", runs=SHORT_RUNS, phases=SHORT_PHASES)
    each = used.actions / phases
    met = used.completed == phases and used.failed == 0 and each <= MOST_OF_A_SHORT_PHASE
    bar = f"<= {MOST_OF_A_SHORT_PHASE:.0f}"
    return Figure("7 actions, short phase", each, 1.0, "actions", each, bar, met)


async def _long(bench: Bench) -> Figure:
    """A command phase that takes several heartbeats."""
    phases = [{"name": "sleep", "kind": "command", "command": f"sleep {LONG_SECONDS}"}]
    await bench.publish("bench-long", phases, needs_workspace=True)
    before = await requests(bench)
    await bench.client.execute_workflow(
        RUN_WORKFLOW,
        {**bench.input("bench-long"), "repo": str(bench.repo)},
        id=f"bench-{uuid4()}",
        task_queue=TASK_QUEUE,
    )
    used = (await requests(bench)).since(before)
    most = 1 + LONG_SECONDS / (0.8 * HEARTBEAT_SECONDS) + 1
    met = used.completed == 1 and used.actions <= most
    bar = f"<= {most:.1f} ({LONG_SECONDS} s)"
    return Figure("7 actions, long phase", used.actions, most, "actions", used.actions / most, bar, met)


async def _waiting(bench: Bench) -> Figure:
    """With no permit to be had: at most one retry for each time that was stated."""
    await bench.publish("bench-waiting", model_phases(1))
    before = await requests(bench)
    size = bench.stack.sql("SELECT size FROM permit_pool WHERE name = 'executor'")[0]["size"]
    bench.stack.sql("UPDATE permit_pool SET size = 0 WHERE name = 'executor'")
    watching = asyncio.create_task(_stated_times(bench))
    try:
        handles = [await _start(bench) for _ in range(WAITING_RUNS)]
        await asyncio.sleep(HELD_SECONDS)
    finally:
        bench.stack.sql("UPDATE permit_pool SET size = %s WHERE name = 'executor'", size)
    await asyncio.gather(*(handle.result() for handle in handles))
    stated = await watching
    used = (await requests(bench)).since(before)
    bench.check_counts("bench-waiting", runs=WAITING_RUNS, phases=1, waits=WAITING_RUNS)
    each = used.failed / stated
    return Figure("7 retries per stated until", each, 1.0, "retries", each, "<= 1", 0 < each <= 1.0)


async def _stated_times(bench: Bench) -> int:
    """How many times were stated by attempts that wait, until all of them have ended."""
    stated: set[tuple[object, object]] = set()
    async with await psycopg.AsyncConnection.connect(bench.stack.admin_url, autocommit=True) as connection:
        while True:
            rows = await (await connection.execute(WAITS)).fetchall()
            stated |= {(attempt, until) for attempt, until, _ in rows if until is not None}
            if len(rows) == WAITING_RUNS and all(ended for *_, ended in rows):
                return len(stated)
            await asyncio.sleep(0.02)


async def _start(bench: Bench) -> WorkflowHandle[object, object]:
    return await bench.client.start_workflow(
        RUN_WORKFLOW, bench.input("bench-waiting"), id=f"bench-{uuid4()}", task_queue=TASK_QUEUE
    )


async def requests(bench: Bench) -> Requests:
    """Of all workers' tasks; long polls and workflow tasks are no actions."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(bench.stack.metrics_url)).raise_for_status().text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in ("temporal_request", "temporal_request_total"):
                operation = sample.labels["operation"]
                found[operation] = found.get(operation, 0.0) + sample.value
    assert found, "the worker's metrics have no temporal_request"
    return Requests(
        found.get("RespondActivityTaskCompleted", 0.0),
        found.get("RespondActivityTaskFailed", 0.0),
        found.get("RecordActivityTaskHeartbeat", 0.0),
    )
