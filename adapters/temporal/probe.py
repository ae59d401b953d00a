"""Whether Temporal can work, beyond that it answers."""

from datetime import timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

NOBODY = "millwright-readiness"
"""A workflow that there is not."""
PATIENCE = timedelta(seconds=2)


async def problem_at_work(client: Client) -> str | None:
    """What Temporal says when it is asked for a workflow; None when it works.

    A server that could not write (its disk is full) gives its shards up, and answers no such question until it can.
    """
    asked = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=NOBODY)
    )
    try:
        await client.workflow_service.describe_workflow_execution(asked, timeout=PATIENCE)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return error.message
    return None
