"""The floor: workflows of no-op activities and nothing else, dispatched as ours are, with the SDK's own means."""

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

BARE_QUEUE = "bare"
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
    worker = Worker(
        client, task_queue=BARE_QUEUE, workflows=[BareWorkflow], activities=[nothing], max_concurrent_activities=100
    )
    print("ready", flush=True)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
