"""Agents without a network: they reach the gateway through its socket, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sandbox import means
from cli.stack.temporal import TemporalServer
from domain.pipelines.spec import AgentExecutor
from tests.support.databases import Database
from tests.workflows.agents.runs import steps_of
from tests.workflows.agents_external.works import (
    FILES,
    RIGHT,
    VERIFY,
    WITH_TOOLS,
    agent,
    command,
    loop,
    model_of,
    path_with_fakes,
    say,
    turns,
    write,
)
from tests.workflows.world import World, world

LOOK = "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '; python3 -c '{}' 2>&1 | tail -1"
CONNECT = 'import socket; socket.create_connection(("127.0.0.1", {}), 2); print("open")'


@pytest.fixture
async def apart(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    environment = path_with_fakes(tmp_path / "bin")
    if means.find("auto", environment["PATH"]).bubblewrap is None:
        pytest.skip("bubblewrap is not on PATH, or may not make namespaces here")
    settings = {"environment": environment, "MILLWRIGHT_AGENT_NETWORK": "none"}
    async with world(database, temporal_server.address, tmp_path, **settings) as made:
        yield made


@pytest.mark.parametrize("executor", WITH_TOOLS)
async def test_only_the_gateway_is_reached(
    apart: World, temporal_server: TemporalServer, executor: AgentExecutor
) -> None:
    """The port of Temporal needs no token: from in there it is not to be reached."""
    port = temporal_server.address.rpartition(":")[2]
    look = command(executor, LOOK.format(CONNECT.format(port)))
    model = model_of(apart, turns(look, write(executor, "calc.py", RIGHT), say("Done.")))
    pipeline = await apart.publish(loop(agent(executor), VERIFY))
    run = await apart.run(pipeline, repo=str(apart.repository(FILES)), settings={"model": model})
    assert run["outcome_kind"] == "verified", run["error"]
    tools = [step for step in await steps_of(apart, run) if step["kind"] == "tool_call"]
    interface, refused = tools[0]["tail"].splitlines()[-2:]
    assert interface == "lo"
    assert "ConnectionRefusedError" in refused
