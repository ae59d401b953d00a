"""A whole run engine for tests: real Temporal, PostgreSQL, git and processes; only models are scripted."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import yaml
from psycopg.rows import dict_row
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from adapters.secrets.redactor import SecretRedactor
from adapters.store.catalogue import PostgresCatalogue
from adapters.temporal.reconciler import Reconciler
from domain.pipelines.spec import Pipeline
from domain.runs.ids import RUN_WORKFLOW, TASK_QUEUE
from tests.support.databases import Database
from worker.background import background
from worker.compose import Composition, compose
from worker.settings import WorkerSettings

ENOUGH_SECONDS = 60.0
"""Nothing here takes that long; a test that waits longer has found a hang."""

CLOSED = {"SUCCEEDED", "FAILED", "CANCELLED"}


@dataclass
class World:
    client: Client
    database: Database
    composition: Composition
    folder: Path
    org_id: UUID
    _count: int = 0
    repositories: list[Path] = field(default_factory=list)

    async def publish(self, document: Mapping[str, Any]) -> str:
        """A pipeline of its own name for this test."""
        self._count += 1
        pipeline = Pipeline.model_validate({"name": f"test-{self._count}", **document})
        await PostgresCatalogue(self.composition.database).publish(self.org_id, pipeline)
        return pipeline.name

    def script(self, *replies: Mapping[str, Any], usage: Mapping[str, Any] | None = None) -> str:
        self._count += 1
        path = self.folder / f"script-{self._count}.yaml"
        path.write_text(yaml.safe_dump({"replies": list(replies), **({"usage": dict(usage)} if usage else {})}))
        return f"scripted:{path}"

    def repository(self, files: Mapping[str, str]) -> Path:
        self._count += 1
        path = self.folder / f"repository-{self._count}"
        path.mkdir()
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text)
        for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
            subprocess.run(
                ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=path, check=True
            )
        self.repositories.append(path)
        return path

    async def start(self, pipeline: str, **entry: Any) -> WorkflowHandle[Any, Any]:
        self._count += 1
        entry = {"task": "Mend it", "pipeline": pipeline, **entry}
        return await self.client.start_workflow(
            RUN_WORKFLOW, entry, id=f"{self.folder.name}-{self._count}", task_queue=TASK_QUEUE
        )

    async def run(self, pipeline: str, **entry: Any) -> dict[str, Any]:
        """Starts it and waits for its end; the run's row."""
        return await self.end_of(await self.start(pipeline, **entry))

    async def end_of(self, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
        return await self.until(handle, lambda row: row["status"] in CLOSED)

    async def until(self, handle: WorkflowHandle[Any, Any], reached: Any) -> dict[str, Any]:
        row: dict[str, Any] | None = None
        async with asyncio.timeout(ENOUGH_SECONDS):
            while row is None or not reached(row):
                await asyncio.sleep(0.05)
                row = await self.row("SELECT * FROM run WHERE workflow_id = %s", handle.id)
        return row

    async def row(self, statement: str, *arguments: object) -> dict[str, Any] | None:
        rows = await self.rows(statement, *arguments)
        return rows[0] if rows else None

    async def rows(self, statement: str, *arguments: object) -> list[dict[str, Any]]:
        """As the owner, who sees every organization."""
        async with await psycopg.AsyncConnection.connect(self.database.admin_url, autocommit=True) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement.encode(), arguments)
            return await cursor.fetchall()

    def reconciler(self, *, equal_failures: int = 2) -> Reconciler:
        return self.composition.reconciler(self.client, quiet_seconds=0.0, equal_failures=equal_failures)


@asynccontextmanager
async def world(
    database: Database,
    temporal_address: str,
    folder: Path,
    *,
    serving: bool = True,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """`serving` False: the worker does not run; the test runs another in its place. `environment`: of the worker,
    beside its PATH, or with another one."""
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    chosen = WorkerSettings.model_validate(
        {
            "DATABASE_URL": database.app_url,
            "MILLWRIGHT_STATE_DIR": folder / "state",
            "MILLWRIGHT_HEARTBEAT_SECONDS": 3,
            "MILLWRIGHT_CACHED_WORKFLOWS": 0,
            "MILLWRIGHT_DRAIN_SECONDS": 0,
            **settings,
        }
    )
    async with AsyncExitStack() as stack:
        composition = await stack.enter_async_context(
            compose(
                chosen,
                client,
                environment={"PATH": "/usr/bin:/bin", **(environment or {})},
                redactor=SecretRedactor(),
                workflow_runner=SandboxedWorkflowRunner(),
            )
        )
        org_id = await PostgresCatalogue(composition.database).organization("default")
        await stack.enter_async_context(background(composition.background))
        if serving:
            await stack.enter_async_context(composition.worker)
        yield World(client, database, composition, folder, org_id)
