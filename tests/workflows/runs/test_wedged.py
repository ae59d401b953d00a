"""What can neither go on nor end itself is ended by the reconciler, with what kept failing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from cli.stack.temporal import TemporalServer
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE
from tests.support.databases import Database
from tests.workflows.world import CLOSED, World, world
from workflows.run import RunWorkflow

PIPELINE = {"needs_workspace": False, "phases": [{"name": "ask", "kind": "model", "prompt": "Say it."}]}


@workflow.defn(name=RUN_WORKFLOW, sandboxed=False)
class BrokenAfterOpening(RunWorkflow):
    """A version whose code fails as soon as the run is open."""

    @workflow.run
    async def run(self, raw: RawValue) -> Any:  # type: ignore[override]
        body = asyncio.create_task(super().run(raw))
        await workflow.wait_condition(lambda: self._state is not None)
        body.cancel()
        raise RuntimeError("this version is broken")


@pytest.fixture
async def idle(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    async with world(database, temporal_server.address, tmp_path, serving=False) as made:
        yield made


async def worker(idle: World, run: type[Any]) -> Worker:
    """Without the activity that runs phases, as an old worker is without a new one's."""
    address = idle.client.service_client.config.target_host
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    records = idle.composition.records
    short = [records.open_run, records.finalise_run, records.apply_requests, records.request_cancel]
    return Worker(client, task_queue=TASK_QUEUE, workflows=[run], activities=short)


async def closed(idle: World, run: type[Any]) -> dict[str, Any]:
    async with await worker(idle, run):
        handle = await idle.start(await idle.publish(PIPELINE), settings={"model": idle.script({"text": "said"})})
        await idle.until(handle, lambda row: row is not None)
        reconciler = idle.reconciler(equal_failures=2)
        async with asyncio.timeout(60):
            while True:
                await reconciler.look_once()
                row = await idle.row("SELECT * FROM run WHERE workflow_id = %s", handle.id)
                if row is not None and row["status"] in CLOSED:
                    return row
                await asyncio.sleep(0.2)


async def test_a_phase_that_cannot_begin(idle: World) -> None:
    run = await closed(idle, RunWorkflow)
    assert (run["status"], run["outcome_kind"]) == ("FAILED", "phase_error")
    assert "run_phase" in run["error"]["message"]
    assert "not registered" in run["error"]["message"]
    assert run["error"]["hint"]


async def test_a_workflow_whose_task_keeps_failing(idle: World) -> None:
    run = await closed(idle, BrokenAfterOpening)
    assert (run["status"], run["outcome_kind"]) == ("FAILED", "orphaned")
    assert "workflow task failed" in run["error"]["message"]
    assert "this version is broken" in run["error"]["message"]
    assert run["error"]["excerpt"]
    assert run["error"]["hint"]
