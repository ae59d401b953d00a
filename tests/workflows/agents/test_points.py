"""A worker that dies, or is stopped and wakes up, at a named point of a turn: the other one goes on exactly there."""

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.stack.temporal import TemporalServer
from domain.failpoints import AgentPoint, Point
from tests.support.databases import Database
from tests.workflows.agents.runs import agent, call, scripted, turn
from tests.workflows.agents.workers import Workers, workers
from tests.workflows.world import World

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]

FILES = {"log.txt": ""}
TURNS = 6
STOPPED_SECONDS = 6.5
"""More than twice the heartbeat timeout."""
TAKEN_OVER_SECONDS = 12.0


def _append(number: int) -> dict[str, Any]:
    """Not idempotent by itself: done twice, it shows."""
    return call("run_command", command=f"echo turn {number} >> log.txt")


def _turns() -> list[dict[str, Any]]:
    made = [
        turn(call("write_file", path=f"f{n}.txt", text=f"{n}\n"), _append(n), delay_seconds=0.3)
        for n in range(1, TURNS)
    ]
    return [*made, turn(call("finish", summary="done"))]


async def _tree_text(world: World, run: dict[str, Any]) -> str:
    row = await world.row("SELECT tree_after FROM attempt WHERE run_id = %s AND phase = 'implement'", run["id"])
    assert row is not None
    return str(row["tree_after"])


async def _exactly_once(world: World, run: dict[str, Any]) -> None:
    assert run["status"] == "SUCCEEDED", run["error"]
    verify = await world.row("SELECT summary FROM attempt WHERE run_id = %s AND phase = 'show'", run["id"])
    assert verify is not None
    assert verify["summary"].split("\n")[: TURNS - 1] == [f"turn {n}" for n in range(1, TURNS)]
    calls = await world.rows("SELECT key, status FROM step WHERE run_id = %s AND kind = 'model_call'", run["id"])
    done = Counter(each["key"] for each in calls if each["status"] == "done")
    assert done == {f"turn#{n}": 1 for n in range(1, TURNS + 1)}
    assert len(calls) - sum(done.values()) <= 1, "at most the call in flight was asked again"


async def _begin(made: Workers, **more: Any) -> Any:
    show = {"name": "show", "kind": "command", "command": "cat log.txt; ls"}
    pipeline = await made.world.publish({"phases": [agent(max_executions=20, **more), show]})
    model = scripted(made.world, *_turns())
    return await made.world.start(pipeline, repo=str(made.world.repository(FILES)), settings={"model": model})


POINTS = (Point.CALL_AFTER_ANSWER, AgentPoint.AFTER_TOOL, AgentPoint.AFTER_PACK, Point.PHASE_AFTER_SNAPSHOT)
"""Those between which something could be lost or done twice; the campaign's random kills reach all others."""


async def test_killed_at_each_point_of_a_turn(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    trees = set()
    async with workers(database, temporal_server.address, tmp_path) as made:
        for point in POINTS:
            run = await _begin(made)
            hit = await made.strike(point, run, turns=0 if point is Point.PHASE_AFTER_SNAPSHOT else 2)
            row = await made.world.end_of(run)
            await _exactly_once(made.world, row)
            trees.add(await _tree_text(made.world, row))
            await hit.start()
    assert len(trees) == 1, "the same tree, wherever it was killed"


async def test_one_that_was_stopped_and_wakes_up_writes_nothing_more(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """Both workers have the same worktree: the late one may neither write a row nor a file."""
    async with workers(database, temporal_server.address, tmp_path, shared_folder=True) as made:
        run = await _begin(made)
        hit = await made.strike(AgentPoint.AFTER_TOOL, run, turns=2, name="SIGSTOP")
        await asyncio.sleep(STOPPED_SECONDS)
        with suppress(TimeoutError):  # Temporal may give the work to the stopped one's open polls a few times
            async with asyncio.timeout(TAKEN_OVER_SECONDS):
                await made.until(run, lambda attempt: attempt["executions"] > 1)
        hit.signal(signal.SIGCONT)
        row = await made.world.end_of(run)
        attempt = await made.until(run, lambda attempt: attempt["status"] == "passed")
        await _exactly_once(made.world, row)
        executions = await made.world.rows(
            "SELECT id, status FROM execution WHERE attempt_id = %s ORDER BY number", attempt["id"]
        )
        assert executions[-1]["status"] == "done" and len(executions) > 1
        assert all(each["status"] in ("lost", "failed") for each in executions[:-1])
        segments = await made.world.rows(
            "SELECT number, execution_id FROM agent_segment WHERE attempt_id = %s ORDER BY number", attempt["id"]
        )
        owners = [each["execution_id"] for each in segments]
        assert owners == sorted(owners, key=[each["id"] for each in executions].index), "none of the late one's"
        assert [each["number"] for each in segments] == list(range(len(segments)))


async def test_an_unsafe_tool_that_may_have_happened_is_not_repeated(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """It is asked of a person; without a crash in it, the same pipeline ends well."""
    async with workers(database, temporal_server.address, tmp_path) as made:
        well = await made.world.end_of(await _begin(made, unsafe_tools=["run_command"]))
        await _exactly_once(made.world, well)
        run = await _begin(made, unsafe_tools=["run_command"])
        await made.until(run, lambda attempt: attempt["turns"] >= 2)
        await made.strike(AgentPoint.AFTER_TOOL, run, turns=2)
        row = await made.world.end_of(run)
        steps = await made.world.rows(
            "SELECT key, effect, status, title FROM step WHERE run_id = %s AND status = 'lost'", row["id"]
        )
        if any(each["effect"] == "unsafe" for each in steps):
            assert row["outcome_kind"] == "phase_error"
            assert "may have happened" in row["error"]["message"]
            assert "echo turn" in row["error"]["message"]
            assert "look outside" in row["error"]["hint"]
        else:  # it was hit in write_file, beside it
            await _exactly_once(made.world, row)
