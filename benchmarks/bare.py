"""The floor: workflows of no-op activities and nothing else, dispatched as ours are, with the SDK's own means.

Once with the SDK's defaults, and once without its sandbox, as our own worker runs.
"""

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

BARE_QUEUE = "bare"
UNSANDBOXED_QUEUE = "bare-unsandboxed"
ACTIVITY_TIMEOUT = timedelta(seconds=60)


@activity.defn
async def nothing(number: int) -> int:
    return number


@workflow.defn
class BareWorkflow:
    """`steps` activities, one after the other."""

    @workflow.run
    async def run(self, steps: int) -> int:
        total = 0
        for number in range(steps):
            total += await workflow.execute_activity(
                nothing, number, start_to_close_timeout=ACTIVITY_TIMEOUT, heartbeat_timeout=timedelta(seconds=30)
            )
        return total


async def main() -> None:
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], data_converter=pydantic_data_converter)
    print("ready", flush=True)
    await asyncio.gather(
        _worker(client, BARE_QUEUE, SandboxedWorkflowRunner()).run(),
        _worker(client, UNSANDBOXED_QUEUE, UnsandboxedWorkflowRunner()).run(),
    )


def _worker(client: Client, queue: str, runner: WorkflowRunner) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[BareWorkflow],
        activities=[nothing],
        workflow_runner=runner,
        max_concurrent_activities=100,
    )


if __name__ == "__main__":
    asyncio.run(main())
