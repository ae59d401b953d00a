"""Row 7: Temporal actions per phase, counted from the SDK's own request metrics of the worker.

An activity is one action when it is scheduled, one for each retry, and one for each heartbeat that reaches the server.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import WorkflowHandle

from benchmarks.bench import Bench, Figure, bounded, model_phases
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE

SHORT_RUNS, SHORT_PHASES = 20, 5
LONG_SECONDS = 75
HEARTBEAT_SECONDS = 30.0
"""The default."""
HELD_SECONDS = 8.0
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
    return Figure("7 actions, short phase", each, 1.0, "actions", each, "1 and no heartbeat", each == 1.0)


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
    stated: set[tuple[object, object]] = set()
    before = await requests(bench)
    size = bench.stack.sql("SELECT size FROM permit_pool WHERE name = 'executor'")[0]["size"]
    bench.stack.sql("UPDATE permit_pool SET size = 0 WHERE name = 'executor'")
    try:
        handles = [await _start(bench) for _ in range(WAITING_RUNS)]
        until = asyncio.get_running_loop().time() + HELD_SECONDS
        while asyncio.get_running_loop().time() < until:
            rows = bench.stack.sql("SELECT id, waiting_until FROM attempt WHERE status = 'waiting'")
            stated |= {(row["id"], row["waiting_until"]) for row in rows}
            await asyncio.sleep(0.03)
    finally:
        bench.stack.sql("UPDATE permit_pool SET size = %s WHERE name = 'executor'", size)
    await asyncio.gather(*(handle.result() for handle in handles))
    used = (await requests(bench)).since(before)
    bench.check_counts("bench-waiting", runs=WAITING_RUNS, phases=1, waits=WAITING_RUNS)
    each = used.failed / len(stated)
    return Figure("7 retries per stated until", each, 1.0, "retries", each, "<= 1", 0 < each <= 1.0)


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
