"""`uv run python -m tests.replay.record`: runs the engine and keeps the histories that later code must still replay.

Add a history when the workflow learns something new; never replace one that a released version wrote.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError

from cli.stack import temporal_binary
from cli.stack.ports import any_free
from cli.stack.postgres import Postgres
from cli.stack.settings import StackSettings
from cli.stack.temporal import TemporalServer
from tests.support.databases import make_template, new_database
from tests.support.scratch import scratch_folder
from tests.workflows.world import World, world

HISTORIES = Path(__file__).parent / "histories"

PIPELINE = {
    "phases": [
        {"name": "plan", "kind": "model", "role": "planner", "prompt": "Plan it."},
        {
            "loop": {
                "phases": [
                    {"name": "implement", "kind": "model", "prompt": "Do it.", "output": "files"},
                    {"name": "commit", "kind": "git", "action": "commit"},
                    {"name": "verify", "kind": "command", "command": "grep -q good state.txt", "verifies": True},
                ]
            }
        },
        {"name": "deliver", "kind": "git", "action": "deliver"},
    ]
}
SLEEP = {"phases": [{"name": "wait", "kind": "command", "command": "sleep 60"}]}


async def verified(engine: World) -> str:
    model = engine.script(
        {"role": "planner", "text": "a plan"},
        {"role": "coder", "turn": 1, "files": {"state.txt": "worse\n"}},
        {"role": "coder", "turn": 2, "files": {"state.txt": "good\n"}},
    )
    repo = engine.repository({"state.txt": "bad\n"})
    handle = await engine.start(await engine.publish(PIPELINE), repo=str(repo), settings={"model": model})
    assert (await engine.end_of(handle))["outcome_kind"] == "verified"
    return handle.id


async def cancelled_by_update(engine: World) -> str:
    repo = engine.repository({"state.txt": "bad\n"})
    handle = await engine.start(await engine.publish(SLEEP), repo=str(repo))
    await engine.until(handle, lambda row: row["current_phase"] == "wait")
    await handle.signal("cancel", 5)
    await engine.until(handle, lambda row: row["event_seq"] >= 4)
    await handle.execute_update("cancel", {"reason": "enough"})
    await engine.end_of(handle)
    return handle.id


async def cancelled_natively(engine: World) -> str:
    repo = engine.repository({"state.txt": "bad\n"})
    handle = await engine.start(await engine.publish(SLEEP), repo=str(repo))
    await engine.until(handle, lambda row: row["current_phase"] == "wait")
    await handle.cancel()
    await engine.end_of(handle)
    return handle.id


SCENES: Mapping[str, Callable[[World], Awaitable[str]]] = {
    "run-verified": verified,
    "run-cancelled-by-update": cancelled_by_update,
    "run-cancelled-natively": cancelled_natively,
}


async def record(names: list[str]) -> None:
    settings = StackSettings()
    binary = temporal_binary.find(
        settings.state_folder / "bin", given=settings.temporal_cli, search_path=settings.search_path
    )
    assert binary is not None, "no `temporal` program: run `make setup`"
    with scratch_folder("replay") as folder:
        postgres = Postgres(folder / "postgres", any_free(), fast=True, data_root=folder)
        (folder / "temporal").mkdir()
        temporal = TemporalServer(binary=binary.path, port=any_free(), folder=folder / "temporal")
        with postgres.running(), temporal.running(), new_database(postgres, make_template(postgres)) as database:
            async with world(database, temporal.address, folder, MILLWRIGHT_CACHED_WORKFLOWS=100) as engine:
                for name in names:
                    await keep(engine, name, await SCENES[name](engine))


async def keep(engine: World, name: str, workflow_id: str) -> None:
    handle = engine.client.get_workflow_handle(workflow_id)
    with suppress(WorkflowFailureError):  # its end is what counts here, whatever it is
        await handle.result()
    history: dict[str, Any] = json.loads((await handle.fetch_history()).to_json())
    path = HISTORIES / f"{name}.json"
    path.write_text(json.dumps(history, indent=1) + "\n")
    print(f"{path.name}: {len(history['events'])} events")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or list(SCENES)))
