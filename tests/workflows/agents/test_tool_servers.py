"""Agents with tools of MCP servers: real servers, in whole runs. A server that misbehaves never holds a phase."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import psutil
import pytest

from adapters.mcp.boxes import START_SECONDS
from adapters.store.catalogue import PostgresCatalogue
from cli.stack.temporal import TemporalServer
from domain.agents.tools import McpServer
from tests.adapters.mcp.conftest import listening, raw, sdk
from tests.adapters.mcp.servers.sdk_server import make
from tests.support.databases import Database
from tests.workflows.agents.runs import (
    FILES,
    RIGHT,
    VERIFY,
    agent,
    attempt_of,
    call,
    loop,
    output_of,
    scripted,
    steps_of,
    turn,
)
from tests.workflows.world import World, world

TOKEN = "s3cr3t-of-the-tool-server"
FINISH = turn(call("finish", summary="done"))


@pytest.fixture
async def engine(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    environment = {"SERVER_TOKEN": TOKEN, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    async with world(database, temporal_server.address, tmp_path, environment=environment) as made:
        yield made


async def repository(engine: World, *servers: McpServer) -> str:
    """A new one, whose workspace lists these servers."""
    repo = str(engine.repository(FILES))
    first = await engine.run(
        await engine.publish({"phases": [{"name": "a", "kind": "command", "command": "true"}]}), repo=repo
    )
    [row] = await engine.rows("SELECT workspace_id FROM run WHERE id = %s", first["id"])
    catalogue = PostgresCatalogue(engine.composition.database)
    assert await catalogue.set_mcp_servers(engine.org_id, str(row["workspace_id"]), servers) is not None
    return repo


async def told(engine: World, run: dict[str, Any]) -> str:
    """Everything that the model was told, as the record has it."""
    rows = await engine.rows("SELECT body FROM agent_segment WHERE run_id = %s ORDER BY number", run["id"])
    return "\n".join(row["body"] for row in rows)


@asynccontextmanager
async def remote(**more: Any) -> AsyncIterator[McpServer]:
    async with listening(make().streamable_http_app()) as url:
        yield McpServer(name="remote", url=f"{url}/mcp", **more)


async def test_an_agent_works_with_the_tools_of_its_workspace(engine: World) -> None:
    async with remote(headers={"Authorization": "Bearer env:SERVER_TOKEN"}) as far:
        near = sdk("near", env={"API_TOKEN": "env:SERVER_TOKEN"}, unsafe=False)
        repo = await repository(engine, near, far)
        model = scripted(
            engine,
            turn(call("near__surroundings"), call("remote__add", a=2, b=3)),
            turn(call("near__write", path="calc.py", text=RIGHT), call("run_command", command="python3 test_calc.py")),
            turn(call("finish", summary="add() adds now.")),
        )
        run = await engine.run(await engine.publish(loop(agent(), VERIFY)), repo=repo, settings={"model": model})
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]
    steps = {step["key"]: step for step in await steps_of(engine, run) if step["kind"] == "tool_call"}
    assert (steps["turn#1/1"]["effect"], steps["turn#1/2"]["effect"]) == ("idempotent", "unsafe")
    assert steps["turn#1/2"]["title"].startswith("remote__add") and steps["turn#1/2"]["tail"] == "5"
    said = await told(engine, run)
    assert "API_TOKEN=[redacted]" in said
    for table in ("agent_segment", "step", "run_event", "output_chunk", "attempt", "workspace"):
        rows = await engine.rows(f"SELECT t::text AS row FROM {table} t")
        assert not [row for row in rows if TOKEN in row["row"]], table


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("hang-in-call", "did not answer within 1 s"),
        ("die-in-call", "out of memory"),
        ("garbage-in-call", "not valid"),
        ("flood-of-notices", "floods"),
        ("no-result-in-call", "no result"),
    ],
)
async def test_a_server_that_breaks_in_a_call_is_told_to_the_model_which_goes_on(
    engine: World, mode: str, said: str
) -> None:
    repo = await repository(engine, raw(mode))
    model = scripted(engine, turn(call("raw__ask")), turn(call("write_file", path="calc.py", text=RIGHT)), FINISH)
    pipeline = await engine.publish(loop(agent(command_seconds=1), VERIFY))
    run = await engine.run(pipeline, repo=repo, settings={"model": model})
    assert (run["status"], run["outcome_kind"]) == ("SUCCEEDED", "verified"), run["error"]
    assert said in await told(engine, run)
    assert re.search(r"-> raw__ask\n   failed: .*`raw`", await output_of(engine, run)), "a person sees it in the log"
    step = next(step for step in await steps_of(engine, run) if step["key"] == "turn#1/1")
    assert (step["status"], step["effect"]) == ("failed", "unsafe")


async def test_a_server_that_the_set_up_installs_is_there_when_it_is_started(engine: World) -> None:
    repo = await repository(engine, McpServer(name="own", command=("./server",)))
    catalogue = PostgresCatalogue(engine.composition.database)
    [facts] = await catalogue.workspaces(engine.org_id)
    source = raw("well").command
    assert source is not None
    script = f"#!/usr/bin/env python3\nimport sys\nsys.argv.append('well')\n{Path(source[2]).read_text()}"
    install = f"cat > server <<'END'\n{script}END\nchmod +x server"
    await catalogue.save_workspace(engine.org_id, facts.model_copy(update={"setup_command": install}))
    model = scripted(engine, turn(call("own__ask")), FINISH)
    run = await engine.run(await engine.publish({"phases": [agent()]}), repo=repo, settings={"model": model})
    assert run["status"] == "SUCCEEDED", run["error"]
    assert "ask answers" in await told(engine, run)


async def test_a_server_that_cannot_be_used_fails_the_phase_by_name(engine: World) -> None:
    repo = await repository(engine, raw("unknown-version", name="ancient"))
    run = await engine.run(
        await engine.publish({"phases": [agent()]}), repo=repo, settings={"model": scripted(engine, FINISH)}
    )
    assert (run["status"], run["outcome_kind"], run["outcome_detail"]) == ("FAILED", "phase_error", "implement")
    assert run["error"]["kind"] == "plugin" and "`ancient`" in run["error"]["message"] and run["error"]["hint"]


async def test_a_tool_that_the_server_does_not_list_is_an_unknown_tool(engine: World) -> None:
    repo = await repository(engine, raw("well"))
    model = scripted(engine, turn(call("raw__answer")), turn(call("raw__ask")), FINISH)
    run = await engine.run(await engine.publish({"phases": [agent()]}), repo=repo, settings={"model": model})
    assert run["status"] == "SUCCEEDED", run["error"]
    said = await told(engine, run)
    assert "There is no tool 'raw__answer'" in said and "ask answers" in said


@pytest.mark.parametrize("mode", ["hang-at-start", "hang-in-call"])
async def test_a_cancel_ends_a_server_that_hangs_long_before_its_time(engine: World, mode: str) -> None:
    mark = f"started-{uuid4()}"
    repo = await repository(engine, raw(mode, mark))
    model = scripted(engine, turn(call("raw__ask")), FINISH)
    handle = await engine.start(
        await engine.publish({"phases": [agent(command_seconds=600)]}), repo=repo, settings={"model": model}
    )
    await until(lambda: running(mark))
    if mode == "hang-in-call":
        for _ in range(1200):
            if await engine.row("SELECT 1 FROM step WHERE key = 'turn#1/1' AND status = 'running'"):
                break
            await asyncio.sleep(0.05)
    began = monotonic()
    await handle.cancel()
    run = await engine.end_of(handle)
    assert run["status"] == "CANCELLED"
    assert (await attempt_of(engine, run))["status"] == "cancelled"
    await until(lambda: not running(mark))
    assert monotonic() - began < START_SECONDS / 2, "it was ended, and not waited for"


def running(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if mark in (process.info["cmdline"] or ()):
            found.append(process.pid)
    return found


async def until(condition: Callable[[], object]) -> None:
    for _ in range(1200):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")


async def test_a_hanging_call_does_not_outlive_the_phases_time(engine: World) -> None:
    repo = await repository(engine, raw("hang-in-call"))
    model = scripted(engine, turn(call("raw__ask")), FINISH)
    pipeline = await engine.publish({"phases": [agent(command_seconds=600, time_limit_seconds=4)]})
    run = await engine.run(pipeline, repo=repo, settings={"model": model})
    assert run["outcome_kind"] == "phase_error" and run["error"]["kind"] == "time_limit"
