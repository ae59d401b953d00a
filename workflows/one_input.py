"""Before a workflow: a start with more than one input is refused in our words, not in Python's."""

from typing import Any

from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from workflows.run_input import refusal


class OneInput(Interceptor):
    """Of the worker."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _OneInput


class _OneInput(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        if len(input.args) > 1:
            raise refusal(f"The start has {len(input.args)} inputs; give one JSON object (one --input).")
        return await super().execute_workflow(input)
