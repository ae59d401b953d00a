"""What `doctor` asks the servers: are our processes up, do PostgreSQL and Temporal answer, and as they should."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import psycopg
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeWorkflowExecutionRequest,
    GetSystemInfoRequest,
)
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from cli.stack.checks import Check
from cli.stack.postgres import Postgres
from cli.stack.process import read_record
from cli.stack.settings import StackSettings
from cli.stack.state import StateFolder, read_status

OLDEST_POSTGRES = 150_000
SHORTEST_RETENTION = timedelta(days=30)
ANSWER_SECONDS = 5
NOT_RUNNING = "not running"
START = "start it: `millwright up`"


def processes(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    status = read_status(folder)
    if status is None:
        yield Check(name="local stack", status="missing", found=NOT_RUNNING, what_to_do=START)
        return
    if read_record(folder.lock("supervisor")) is None:
        text = "`millwright up` starts a new one, which adopts what runs"
        yield Check(name="supervisor", status="failed", found="ended; nothing restarts what dies", what_to_do=text)
    for name, process in status.processes.items():
        if process.state == "done" or read_record(folder.lock(name)):
            yield Check(name=name, status="ok", found=f"{process.state}, restarts: {process.restarts}")
        else:
            problem = (process.problem or NOT_RUNNING).splitlines()[0]
            yield Check(name=name, status="failed", found=problem, what_to_do=f"see {process.log}")


def postgres(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    url, status, text = settings.database_url, read_status(folder), "is DATABASE_URL right, and the server up?"
    if url is None:
        if status is None:
            return
        url, text = Postgres(folder.postgres, status.ports["postgres"]).admin_url(), f"see {folder.log('postgres')}"
    try:
        with psycopg.connect(url, connect_timeout=ANSWER_SECONDS) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        yield Check(name="PostgreSQL", status="failed", found=str(error).strip().splitlines()[-1], what_to_do=text)
        return
    found = f"answers, version {version // 10_000}.{version % 10_000}"
    if version < OLDEST_POSTGRES:
        yield Check(name="PostgreSQL", status="failed", found=found, what_to_do="use PostgreSQL 15 or newer")
    else:
        yield Check(name="PostgreSQL", status="ok", found=found)


def temporal(settings: StackSettings, folder: StateFolder) -> Iterator[Check]:
    status = read_status(folder)
    if settings.temporal_address is None and status is None:
        return
    local = status.temporal_address if status and settings.temporal_address is None else None
    try:
        yield asyncio.run(asyncio.wait_for(_ask_temporal(local), ANSWER_SECONDS))
    except (RPCError, RuntimeError, TimeoutError) as error:
        text = f"see {folder.log('temporal')}" if local else "are the TEMPORAL_* variables right, and the server up?"
        reason = str(error).splitlines()[0] if str(error) else f"no answer in {ANSWER_SECONDS} s"
        yield Check(name="Temporal", status="failed", found=reason, what_to_do=text)


async def _ask_temporal(local: str | None) -> Check:
    """The local server, or the one that the standard configuration names."""
    connect = ClientConfig.load_client_connect_config()
    address = local or connect.get("target_host") or "localhost:7233"
    connect["target_host"] = address
    client = await Client.connect(**connect)
    system = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    asked = DescribeNamespaceRequest(namespace=client.namespace)
    namespace = await client.workflow_service.describe_namespace(asked)
    if problem := await _problem_at_work(client):
        text = "it cannot use its database: is the disk of it full, or the server of it away?"
        return Check(name="Temporal", status="failed", found=f"answers, but cannot work: {problem}", what_to_do=text)
    retention = namespace.config.workflow_execution_retention_ttl.ToTimedelta()
    found = f"answers at {address}, server {system.server_version}, keeps closed workflows {retention.days} days"
    if retention < SHORTEST_RETENTION:
        text = "Temporal's own page forgets runs sooner than a month; our record keeps them"
        return Check(name="Temporal", status="note", found=found, what_to_do=text)
    return Check(name="Temporal", status="ok", found=found)


async def _problem_at_work(client: Client) -> str | None:
    """A server that could not write gives its shards up, and no longer answers for any workflow."""
    nobody = WorkflowExecution(workflow_id="millwright-doctor")
    try:
        await client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=nobody),
            timeout=timedelta(seconds=2),
        )
    except RPCError as error:
        return None if error.status is RPCStatusCode.NOT_FOUND else error.message
    return None
