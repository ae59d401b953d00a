"""Long conversations: summarised when they outgrow the window, kept outside of the row when big, gone on with after a
wait, ended at once when asked to."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil

from tests.workflows.agents.runs import FILES, agent, attempt_of, call, scripted, steps_of, turn
from tests.workflows.world import World

LONG = {**FILES, "long.txt": "".join(f"line {n} of a long file\n" for n in range(150))}
FINISH = turn(call("finish", summary="done"))


def _reads(count: int) -> list[dict[str, Any]]:
    return [turn(call("read_file", path="long.txt", offset=n), text=f"Reading {n}.") for n in range(1, count + 1)]


async def _segments(world: World, run: dict[str, Any]) -> list[dict[str, Any]]:
    rows = await world.rows("SELECT * FROM agent_segment WHERE run_id = %s ORDER BY number", run["id"])
    return [{**row, **(json.loads(row["body"]) if row["body"] else {})} for row in rows]


async def _run(world: World, model: str, **more: Any) -> dict[str, Any]:
    pipeline = await world.publish({"phases": [agent(**more)]})
    return await world.run(pipeline, repo=str(world.repository(LONG)), settings={"model": model})


async def test_a_conversation_that_outgrows_the_window_is_summarised(engine: World) -> None:
    model = engine.script(
        {"role": "coder", "turns": [*_reads(8), FINISH]},
        {"role": "summary", "text": "The file has 150 lines."},
        usage={"tokens_in": 10, "tokens_out": 5},
    )
    run = await _run(engine, model, context_tokens=8_000)
    assert run["status"] == "SUCCEEDED", run["error"]
    segments = await _segments(engine, run)
    compactions = [each for each in segments if each["kind"] == "compaction"]
    assert compactions and all(each["summary"] == "The file has 150 lines." for each in compactions)
    results = [each for each in segments if each["kind"] == "results"]
    assert [each["turn"] for each in results] == list(range(1, 10)), "no turn is rewritten or lost in the record"
    keys = [step["key"] for step in await steps_of(engine, run) if step["kind"] == "model_call"]
    assert [key for key in keys if key.startswith("compact#")] == [f"compact#{each['number']}" for each in compactions]
    attempt = await attempt_of(engine, run)
    assert attempt["turns"] == 9
    assert attempt["tokens_in"] == 10 * len(keys), "summaries are counted, too"


async def test_where_no_summary_can_be_made_the_turns_are_dropped_with_a_mark(engine: World) -> None:
    model = engine.script(
        {"role": "coder", "turns": [*_reads(8), FINISH]}, {"role": "summary", "error": "content_filtered"}
    )
    run = await _run(engine, model, context_tokens=8_000)
    assert run["status"] == "SUCCEEDED", run["error"]
    compactions = [each for each in await _segments(engine, run) if each["kind"] == "compaction"]
    assert compactions and all("summary" not in each for each in compactions)


async def test_a_provider_that_finds_it_too_long_gets_less_before_it_is_the_end(engine: World) -> None:
    model = engine.script(
        {"role": "coder", "turns": [*_reads(4), {"error": "context_length"}]}, {"role": "summary", "text": "Lines."}
    )
    run = await _run(engine, model)
    assert run["outcome_kind"] == "phase_error"
    assert run["error"]["kind"] == "context_length"
    assert [each["through"] for each in await _segments(engine, run) if each["kind"] == "compaction"] == [2, 3]


async def test_big_segments_lie_in_the_artifact_store_and_are_gone_on_with(engine: World, tmp_path: Path) -> None:
    """The rate limit gives the phase back in the middle; the next try reads all of it from the record."""
    shout = turn(*(call("run_command", command=f"yes {word} | head -c 60000") for word in ("one", "two")))
    limited = {"error": {"kind": "rate_limited", "retry_after_seconds": 1}}
    model = scripted(engine, shout, turn(call("write_file", path="a.txt", text="a\n")), limited)
    path = Path(model.partition(":")[2])
    handle = await engine.start(
        await engine.publish({"phases": [agent()]}),
        repo=str(engine.repository(LONG)),
        settings={"model": model},
    )
    await engine.until(handle, lambda row: row["status"] == "WAITING")
    well = Path(scripted(engine, shout, turn(call("write_file", path="a.txt", text="a\n")), FINISH).partition(":")[2])
    well.replace(path)
    run = await engine.end_of(handle)
    assert run["status"] == "SUCCEEDED", run["error"]
    segments = await _segments(engine, run)
    assert [each["body"] is None for each in segments] == [False, True, False, False]
    assert segments[1]["size_bytes"] > 32_768
    attempt = await attempt_of(engine, run)
    assert (attempt["turns"], attempt["executions"]) == (3, 1), "a wait is no execution"
    done = [step["key"] for step in await steps_of(engine, run) if step["status"] == "done"]
    assert sorted(done) == sorted(set(done)), "nothing was asked or done again"


async def test_a_cancel_ends_the_command_that_the_agent_runs(engine: World) -> None:
    mark = f"sleep 86{id(engine) % 1000:03d}"
    model = scripted(engine, turn(call("run_command", command=f"echo begun; {mark}")), FINISH)
    handle = await engine.start(
        await engine.publish({"phases": [agent()]}), repo=str(engine.repository(FILES)), settings={"model": model}
    )
    async with asyncio.timeout(30):
        while not _running(mark):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)
    await handle.cancel()
    run = await engine.end_of(handle)
    assert (run["status"], run["outcome_kind"]) == ("CANCELLED", "cancelled")
    assert not _running(mark)
    steps = {step["key"]: step["status"] for step in await steps_of(engine, run)}
    assert steps == {"turn#1": "done", "turn#1/1": "lost"}


def _running(mark: str) -> bool:
    return any(mark in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
