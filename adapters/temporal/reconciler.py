"""The reconciler: ends runs whose workflow cannot end them itself (DESIGN 5.2).

A workflow that was terminated writes nothing; one that Temporal no longer knows never will; a phase that fails
before it has a row, or a workflow task that fails for ever, would hang. Each is noticed here and closed with
kind, message, excerpt and what to do.
"""

import asyncio
from collections.abc import Sequence

import structlog
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.equal_failures import EqualFailures
from domain.errors import Unavailable
from domain.runs.delivery import OpenRunRow, OpenRuns
from domain.runs.failure import EXCERPT_LIMIT, ErrorKind, PhaseError
from domain.runs.outcome import Outcome
from domain.runs.run_ledger import FinaliseRun, RunLedger
from domain.runs.words import OutcomeKind

PERIOD_SECONDS = 5.0
QUIET_SECONDS = 10.0
"""A run whose row changed lately is not looked at: its workflow is at work."""
EQUAL_FAILURES = 5
"""Failures before a row, or of a workflow task, after which the run is ended."""

NEWEST_EVENTS = 20
REASON_LIMIT = 500

log = structlog.get_logger(__name__)

_CLOSED = {
    WorkflowExecutionStatus.CANCELED: (OutcomeKind.CANCELLED, "Its workflow was cancelled in Temporal."),
    WorkflowExecutionStatus.TIMED_OUT: (OutcomeKind.ORPHANED, "Its workflow ran into Temporal's own timeout."),
    WorkflowExecutionStatus.FAILED: (OutcomeKind.ORPHANED, "Its workflow failed without writing its end."),
    WorkflowExecutionStatus.COMPLETED: (OutcomeKind.ORPHANED, "Its workflow ended without writing its end."),
}


class Reconciler:
    def __init__(
        self,
        runs: OpenRuns,
        ledger: RunLedger,
        client: Client,
        *,
        period_seconds: float = PERIOD_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
        equal_failures: int = EQUAL_FAILURES,
    ) -> None:
        self._runs = runs
        self._ledger = ledger
        self._client = client
        self._period_seconds = period_seconds
        self._quiet_seconds = quiet_seconds
        self._equal_failures = equal_failures
        self._before_a_row = EqualFailures()

    async def run(self) -> None:
        """Until cancelled. One process at a time does the work; the others stand by."""
        while True:
            try:
                if await self._runs.reconciling():
                    await self.look_once()
            except (Unavailable, RPCError) as error:
                log.warning("reconciler.waiting", error=str(error))
            await asyncio.sleep(self._period_seconds)

    async def look_once(self) -> None:
        rows = await self._runs.open_runs(quiet_seconds=self._quiet_seconds)
        self._before_a_row.keep({row.run_id for row in rows})
        for row in rows:
            outcome = await self._verdict(row)
            if outcome is not None:
                await self._close(row, outcome)

    async def _close(self, row: OpenRunRow, outcome: Outcome) -> None:
        log.warning("reconciler.closed", run=str(row.run_id), outcome=str(outcome))
        await self._ledger.finalise(
            FinaliseRun(org_id=row.org_id, run_id=row.run_id, outcome=outcome, iterations=row.iteration)
        )

    async def _task_failure(self, workflow_id: str) -> Failure | None:
        """Of the newest workflow task that Temporal wrote down as failed."""
        for event in await self._newest_events(workflow_id):
            if event.HasField("workflow_task_failed_event_attributes"):
                return event.workflow_task_failed_event_attributes.failure
        return None

    async def _terminated(self, workflow_id: str) -> str:
        """Who terminated it and why, as Temporal wrote it down."""
        for event in await self._newest_events(workflow_id):
            if event.HasField("workflow_execution_terminated_event_attributes"):
                told = event.workflow_execution_terminated_event_attributes
                return "".join(
                    [f" by {told.identity}" if told.identity else "", f": {told.reason}" if told.reason else ""]
                )
        return ""

    async def _newest_events(self, workflow_id: str) -> Sequence[HistoryEvent]:
        asked = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id),
            maximum_page_size=NEWEST_EVENTS,
        )
        answer = await self._client.workflow_service.get_workflow_execution_history_reverse(asked)
        return answer.history.events

    def _wedged_phase(self, row: OpenRunRow, description: WorkflowExecutionDescription) -> Outcome | None:
        """A phase that keeps failing before it has a row."""
        raw: DescribeWorkflowExecutionResponse = description.raw_description
        for pending in raw.pending_activities:
            phase, told = (row.run_id, pending.activity_id), pending.last_failure.message
            if not told or pending.last_failure.application_failure_info.type in _COUNTED:
                self._before_a_row.none(phase)
                continue
            failures = self._before_a_row.count(phase, told, pending.attempt)
            if failures >= self._equal_failures:
                return Outcome(
                    kind=OutcomeKind.PHASE_ERROR,
                    detail=row.phase or pending.activity_id,
                    error=PhaseError(
                        kind=ErrorKind.INTERNAL,
                        message=f"The phase failed {failures} times before it could start: {told}",
                        excerpt=pending.last_failure.stack_trace[-EXCERPT_LIMIT:],
                        hint="A worker without this code, or a message it cannot read: update or restart the worker.",
                    ),
                )
        return None

    async def _verdict(self, row: OpenRunRow) -> Outcome | None:
        handle = self._client.get_workflow_handle(row.workflow_id)
        try:
            description = await handle.describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return _ended(OutcomeKind.ORPHANED, f"Temporal no longer knows its workflow {row.workflow_id}.")
            raise
        if description.status is WorkflowExecutionStatus.TERMINATED:
            told = (await self._terminated(row.workflow_id))[:REASON_LIMIT].rstrip(".")
            return _ended(OutcomeKind.CANCELLED, f"Its workflow was terminated in Temporal{told}.")
        if description.status in _CLOSED:
            return _ended(*_CLOSED[description.status])
        wedged = self._wedged_phase(row, description)
        if wedged is None and description.raw_description.pending_workflow_task.attempt > self._equal_failures:
            wedged = _wedged_task(description, await self._task_failure(row.workflow_id))
        if wedged is not None:
            await handle.terminate(reason=wedged.error.message if wedged.error else "wedged")
        return wedged


def _ended(kind: OutcomeKind, message: str) -> Outcome:
    return Outcome(
        kind=kind,
        error=PhaseError(
            kind=ErrorKind.CANCELLED if kind is OutcomeKind.CANCELLED else ErrorKind.INTERNAL,
            message=message,
            hint="What it had done is kept below; start the run again when it is wanted.",
        ),
    )


def _wedged_task(description: WorkflowExecutionDescription, failure: Failure | None) -> Outcome:
    """A workflow task that keeps failing: the run can neither go on nor end itself."""
    times = description.raw_description.pending_workflow_task.attempt - 1
    told = failure.message if failure is not None else "Temporal's history does not say why"
    return Outcome(
        kind=OutcomeKind.ORPHANED,
        error=PhaseError(
            kind=ErrorKind.INTERNAL,
            message=f"Its workflow task failed {times} times in a row: {told}",
            excerpt=failure.stack_trace[-EXCERPT_LIMIT:] if failure is not None else "",
            hint="Usually the worker's code changed: go back to the version that started the run, or start it again.",
        ),
    )


_COUNTED = {"NotNow", Unavailable.__name__, *ErrorKind}
"""Failures of a phase that has, or will have, its row: bounded there. Any other type means that the phase never
began: an unregistered activity, a bad import, a payload that cannot be read."""
