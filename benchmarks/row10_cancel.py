"""Row 10: cancel asked through the API; how long until every process of the phase's tree is gone."""

import asyncio
import time
from uuid import uuid4

import psutil

from benchmarks.bench import Bench, Figure
from benchmarks.row09_recovery import start_in_repository, started

ROUNDS = 10
BAR_SECONDS = 3.0
PATIENCE_SECONDS = 60.0


async def measure(bench: Bench) -> list[Figure]:
    taken = sorted([await _once(bench) for _ in range(ROUNDS)])
    worst = taken[-1]
    name = f"10 cancel to tree dead, longest of {ROUNDS}"
    return [Figure(name, worst, BAR_SECONDS, "s", worst / BAR_SECONDS, f"< {BAR_SECONDS:.0f} s", worst < BAR_SECONDS)]


async def _once(bench: Bench) -> float:
    """The tree: a shell, a child that ignores SIGTERM, and one that left the session."""
    mark = str(600_000 + uuid4().int % 1_000_000)
    pipeline = f"bench-tree-{mark}"
    command = f"(trap '' TERM; sleep {mark}.1 & wait) & (setsid sleep {mark}.2 &) ; sleep {mark}.3"
    await bench.publish(pipeline, [{"name": "tree", "kind": "command", "command": command}], needs_workspace=True)
    handle = await start_in_repository(bench, pipeline)
    await started(bench, handle, 1)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(alive(mark)) < 4:  # three times sleep, and a shell
        assert time.monotonic() < deadline, "the tree did not come up"
        await asyncio.sleep(0.05)
    run_id = bench.stack.sql("SELECT id FROM run WHERE workflow_id = %s", handle.id)[0]["id"]
    async with bench.stack.api() as api:
        asked = time.perf_counter()
        answer = await api.post(f"/runs/{run_id}/cancel", json={"reason": "bench"})
        assert answer.status_code == 202, answer.text
        while alive(mark):
            assert time.monotonic() < deadline + PATIENCE_SECONDS, "the tree outlives the cancel"
            await asyncio.sleep(0.01)
        took = time.perf_counter() - asked
    while not bench.count("run WHERE id = %s AND status = 'CANCELLED'", run_id):
        assert time.monotonic() < deadline + PATIENCE_SECONDS, "the run does not end"
        await asyncio.sleep(0.05)
    return took


def alive(mark: str) -> list[int]:
    """Processes whose command line has the mark."""
    return [each.pid for each in psutil.process_iter(["cmdline"]) if mark in " ".join(each.info["cmdline"] or [])]
