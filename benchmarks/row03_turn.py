"""Row 3: a checkpointed turn of an agent against the bare commits that it is made of, interleaved, in milliseconds."""

import statistics
import time
from typing import Any
from uuid import uuid4

import psycopg
import yaml

from benchmarks.bench import Bench, Figure
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE

TURNS = 60
ROUNDS = 4
COMMITS = 4
"""Of a turn with one tool: begin_call, end_call, start_step, checkpoint (the step's end goes with it)."""
BAR = 2.0
PIPELINE = "bench-agent"
PHASE = {"name": "work", "kind": "agent", "prompt": "say.md", "max_turns": TURNS}
TIMES = """SELECT extract(epoch FROM created_at - lag(created_at) OVER (ORDER BY number))::float8 * 1000 AS ms
           FROM agent_segment WHERE run_id = (SELECT id FROM run WHERE workflow_id = %s)"""


async def measure(bench: Bench) -> list[Figure]:
    await bench.publish(PIPELINE, [PHASE], needs_workspace=True)
    reads = _script(bench, "reads", [_call("read_file", path="readme.txt", offset=n) for n in range(1, TURNS)])
    writes = _script(bench, "writes", [_call("write_file", path="made.txt", text=f"{n}\n") for n in range(1, TURNS)])
    ours: dict[str, list[float]] = {reads: [], writes: []}
    bare: list[float] = []
    for _ in range(ROUNDS):
        for model, times in ours.items():
            times += await _turns(bench, model)
        bare += _commits(bench)
    expected = 2 * ROUNDS * (TURNS + 1)
    assert bench.count("agent_segment") == expected, "every turn left its segment"
    floor = statistics.median(bare)
    plain, tree = statistics.median(ours[reads]), statistics.median(ours[writes])
    return [
        Figure("3 agent turn", plain, floor, "ms", plain / floor, f"<= {BAR}x", plain / floor <= BAR),
        Figure("3 agent turn that writes", tree, floor, "ms", tree / floor, "reported"),
    ]


async def _turns(bench: Bench, model: str) -> list[float]:
    """Milliseconds from one checkpoint to the next; the opening and the first turn are not counted."""
    workflow_id = f"bench-{uuid4()}"
    given = bench.input(PIPELINE) | {"settings": {"model": model}, "repo": str(bench.repo)}
    await bench.client.execute_workflow(RUN_WORKFLOW, given, id=workflow_id, task_queue=TASK_QUEUE)
    rows = bench.stack.sql(TIMES, workflow_id)
    assert len(rows) == TURNS + 1, f"the agent took {len(rows) - 1} turns instead of {TURNS}"
    return [row["ms"] for row in rows[2:]]


def _commits(bench: Bench) -> list[float]:
    """Milliseconds of so many one-row transactions, as often as there are turns."""
    times = []
    with psycopg.connect(bench.stack.admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_turn (n int, text text)")
        for number in range(TURNS):
            began = time.perf_counter()
            for _ in range(COMMITS):
                connection.execute("INSERT INTO bench_turn VALUES (%s, %s)", [number, "x" * 500], prepare=True)
            times.append((time.perf_counter() - began) * 1000)
        connection.execute("DROP TABLE bench_turn")
    return times


def _script(bench: Bench, name: str, calls: list[dict[str, Any]]) -> str:
    turns = [{"tool_calls": [call]} for call in (*calls, _call("finish", summary="done"))]
    path = bench.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"replies": [{"role": "coder", "turns": turns}]}))
    return f"scripted:{path}"


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}
