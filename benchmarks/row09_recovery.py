"""Row 9: a worker is killed; how long until its phase runs again, with the default heartbeat timeout."""

import asyncio
import signal
import time
from datetime import UTC, datetime
from uuid import uuid4

from temporalio.client import WorkflowHandle

from benchmarks.bench import Bench, Figure
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE

ROUNDS = 3
HEARTBEAT_SECONDS = 30.0
GRACE_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
PIPELINE = "bench-sleep"
STARTED = """SELECT e.started_at, r.id FROM execution e JOIN run r ON r.id = e.run_id
             WHERE r.workflow_id = %s AND e.number = %s AND e.status = 'running'"""


async def measure(bench: Bench) -> list[Figure]:
    await bench.publish(PIPELINE, [{"name": "sleep", "kind": "command", "command": "sleep 600"}], needs_workspace=True)
    worst = max([await _once(bench) for _ in range(ROUNDS)])
    bar = HEARTBEAT_SECONDS + GRACE_SECONDS
    name = f"9 worker killed, longest of {ROUNDS}"
    return [Figure(name, worst, bar, "s", worst / bar, f"<= {bar:.0f} s", worst <= bar)]


async def _once(bench: Bench) -> float:
    """Killed just after the phase began: the longest wait that the heartbeat timeout allows."""
    handle = await start_in_repository(bench, PIPELINE)
    await started(bench, handle, 1)
    worker = bench.stack.process("worker")
    assert worker is not None
    killed_at = datetime.now(UTC)
    worker.signal(signal.SIGKILL)
    again = await started(bench, handle, 2)
    await handle.cancel()
    await _until_closed(bench, handle)
    return (again - killed_at).total_seconds()


async def start_in_repository(bench: Bench, pipeline: str) -> WorkflowHandle[object, object]:
    given = {**bench.input(pipeline), "repo": str(bench.repo)}
    return await bench.client.start_workflow(RUN_WORKFLOW, given, id=f"bench-{uuid4()}", task_queue=TASK_QUEUE)


async def started(bench: Bench, handle: WorkflowHandle[object, object], number: int) -> datetime:
    """When that execution of the run's only phase began."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (rows := bench.stack.sql(STARTED, handle.id, number)):
        assert time.monotonic() < deadline, f"execution {number} did not begin in {PATIENCE_SECONDS:.0f} s"
        await asyncio.sleep(0.05)
    at: datetime = rows[0]["started_at"]
    return at


async def _until_closed(bench: Bench, handle: WorkflowHandle[object, object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not bench.count("run WHERE workflow_id = %s AND status = 'CANCELLED'", handle.id):
        assert time.monotonic() < deadline, f"{handle.id} was not cancelled"
        await asyncio.sleep(0.1)
