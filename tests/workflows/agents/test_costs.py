"""What a turn costs the record: statements, and bytes beside those of the conversation."""

import asyncio
from typing import Any

import psycopg

from tests.workflows.agents.runs import agent, attempt_of, call, scripted, turn
from tests.workflows.world import ENOUGH_SECONDS, World

TURNS = 100
LINES = 400
CALLS = "SELECT funcname, calls FROM pg_stat_user_functions"


def _text(number: int) -> str:
    """About 8 KB that no other turn has."""
    return "".join(f"value_{number}_{line} = {line * number % 97}\n" for line in range(LINES))


async def _function_calls(world: World, until: dict[str, int]) -> dict[str, int]:
    """As PostgreSQL counts them, which tells within seconds."""
    found: dict[str, int] = {}
    async with asyncio.timeout(ENOUGH_SECONDS):
        while any(found.get(name, 0) < count for name, count in until.items()):
            await asyncio.sleep(0.2)
            found = {row["funcname"]: row["calls"] for row in await world.rows(CALLS)}
    return found


async def _run(world: World) -> dict[str, Any]:
    files = {f"m{number}.py": _text(number) for number in range(1, TURNS)}
    reads = [turn(call("read_file", path=f"m{number}.py")) for number in range(1, TURNS)]
    model = scripted(world, *reads, turn(call("finish", summary="read")))
    pipeline = await world.publish({"phases": [agent(max_turns=TURNS, context_tokens=1_000_000)]})
    handle = await world.start(pipeline, repo=str(world.repository(files)), settings={"model": model})
    run = await world.end_of(handle)
    assert run["status"] == "SUCCEEDED", run["error"]
    history = await handle.describe()
    assert history.raw_description.workflow_execution_info.history_size_bytes < 100_000
    return run


async def test_a_turn_costs_one_statement_beyond_its_parts_and_its_text_is_kept_once(engine: World) -> None:
    name = engine.database.name
    async with await psycopg.AsyncConnection.connect(engine.database.admin_url, autocommit=True) as connection:
        await connection.execute(f"ALTER DATABASE \"{name}\" SET track_functions = 'pl'".encode())
    await engine.composition.database.pool.drain()
    run = await _run(engine)
    expected = {"begin_call": TURNS, "end_call": TURNS, "step_start": TURNS, "agent_checkpoint": TURNS + 1}
    calls = await _function_calls(engine, expected)
    assert {name: calls[name] for name in expected} == expected
    assert calls["step_end"] == TURNS, "each goes with its turn's checkpoint"
    assert calls.get("output_append", 0) == 0, "as the output does"

    told = sum(len(_text(number)) for number in range(1, TURNS))
    stored = await engine.row(
        "SELECT (SELECT sum(size_bytes) FROM agent_segment WHERE run_id = %s)"
        " + (SELECT sum(coalesce(length(reply_body), 0)) FROM step WHERE run_id = %s)"
        " + (SELECT coalesce(sum(length(text)), 0) FROM output_chunk WHERE run_id = %s) AS bytes",
        *(run["id"],) * 3,
    )
    assert stored is not None
    assert stored["bytes"] <= 1.2 * told
    assert (await attempt_of(engine, run))["turns"] == TURNS
