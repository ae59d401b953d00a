"""`python -m api` as a process: it says when it serves, delivers to a real Temporal, and ends when told."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.store.database import open_database
from cli.stack.temporal import TemporalServer
from tests.api.people import make_organization
from tests.support.databases import Database

PATIENCE_SECONDS = 60
POEM = "name: poem\nneeds_workspace: false\nphases:\n  - {name: write, kind: model, prompt: write.md}\n"


@asynccontextmanager
async def process(**environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The API with this environment; killed at the end if it still lives."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MILLWRIGHT_", "TEMPORAL_"))}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api"), env={**inherited, **environment}, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def said(started: asyncio.subprocess.Process, event: str) -> dict[str, object]:
    """The first log line with this event; every line is one JSON object."""
    assert started.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for line in started.stderr:
            found: dict[str, object] = json.loads(line)
            if found["event"] == event:
                return found
    raise AssertionError(f"it ended without saying {event}")


async def drain(started: asyncio.subprocess.Process) -> None:
    """Reads on, so that the process never waits for us."""
    assert started.stderr is not None
    async for _ in started.stderr:
        pass


async def until(client: httpx.AsyncClient, address: str, holds: Callable[[Any], bool]) -> None:
    """Asks until the answer's JSON is as wanted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if holds((await client.get(address)).json()):
                return
            await asyncio.sleep(0.1)


async def test_it_serves_delivers_and_ends_when_told(
    database: Database, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    async with open_database(database.app_url, max_connections=2) as record:
        ours = await make_organization(record, "default")
    environment = {
        "DATABASE_URL": database.app_url,
        "MILLWRIGHT_STATE_DIR": str(tmp_path),
        "MILLWRIGHT_API_PORT": "0",
        "TEMPORAL_ADDRESS": temporal_server.address,
    }
    async with process(**environment) as started:
        ready = await said(started, "ready")
        reading = asyncio.create_task(drain(started))
        address = f"http://127.0.0.1:{ready['port']}"
        async with httpx.AsyncClient(base_url=address, headers=ours.header(), timeout=PATIENCE_SECONDS) as client:
            await until(client, "/readyz", lambda body: body["ready"] is True)
            start = {"task": "Write", "pipeline_yaml": POEM, "prompts": {"write.md": "Write it"}}
            run_id = (await client.post("/runs", json=start)).json()["run_id"]
            await until(client, f"/runs/{run_id}", lambda body: body["requests"][0]["status"] == "sent")
            async with client.stream("GET", f"/runs/{run_id}/events") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == ": open"
                started.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    async for _ in lines:
                        pass
        assert await asyncio.wait_for(started.wait(), PATIENCE_SECONDS) == 0
        await reading


async def test_missing_settings_are_named() -> None:
    async with process() as started:
        line = await said(started, "settings.invalid")
        assert "DATABASE_URL" in str(line["problem"]) and "MILLWRIGHT_STATE_DIR" in str(line["problem"])
        assert await started.wait() == 2


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "MILLWRIGHT_STATE_DIR": str(tmp_path)}
        async with process(**environment, MILLWRIGHT_API_PORT=port) as started:
            line = await said(started, "port.taken")
            assert (str(line["port"]), "MILLWRIGHT_API_PORT" in str(line["hint"])) == (port, True)
            assert await started.wait() == 3


@pytest.mark.parametrize("address", ["/runs", "/ui/runs", "/api/v1/permits"])
async def test_it_serves_with_everything_away_and_says_so(tmp_path: Path, address: str) -> None:
    environment = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "MILLWRIGHT_STATE_DIR": str(tmp_path),
        "MILLWRIGHT_API_PORT": "0",
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
    }
    async with process(**environment) as started:
        ready = await said(started, "ready")
        reading = asyncio.create_task(drain(started))
        base = f"http://127.0.0.1:{ready['port']}"
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS) as client:
            assert (await client.get("/healthz")).status_code == 200
            answer = await client.get(address, headers={"Authorization": "Bearer mw_any"})
            assert (answer.status_code, "PostgreSQL" in answer.text) == (503, True)
        started.terminate()
        assert await asyncio.wait_for(started.wait(), PATIENCE_SECONDS) == 0
        await reading
