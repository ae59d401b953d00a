"""The reconciler: ends runs whose workflow cannot end them itself (DESIGN 5.2).

A workflow that was terminated writes nothing; one that Temporal no longer knows never will; a phase that fails
before it has a row, or a workflow task that fails for ever, would hang. Each is noticed here and closed with
kind, message, excerpt and what to do.
"""

import asyncio

import structlog
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable
from domain.runs.delivery import OpenRunRow, OpenRuns
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.outcome import Outcome
from domain.runs.run_ledger import FinaliseRun, RunLedger
from domain.runs.words import OutcomeKind

PERIOD_SECONDS = 5.0
QUIET_SECONDS = 10.0
"""A run whose row changed lately is not looked at: its workflow is at work."""
EQUAL_FAILURES = 5
"""Failures before a row, or of a workflow task, after which the run is ended."""

log = structlog.get_logger(__name__)

_CLOSED = {
    WorkflowExecutionStatus.TERMINATED: (OutcomeKind.CANCELLED, "Its workflow was terminated in Temporal."),
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
    ) -> None:
        self._runs = runs
        self._ledger = ledger
        self._client = client
        self._period_seconds = period_seconds
        self._quiet_seconds = quiet_seconds

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
        for row in await self._runs.open_runs(quiet_seconds=self._quiet_seconds):
            outcome = await self._verdict(row)
            if outcome is not None:
                await self._close(row, outcome)

    async def _close(self, row: OpenRunRow, outcome: Outcome) -> None:
        log.warning("reconciler.closed", run=str(row.run_id), outcome=str(outcome))
        await self._ledger.finalise(
            FinaliseRun(org_id=row.org_id, run_id=row.run_id, outcome=outcome, iterations=row.iteration)
        )

    async def _verdict(self, row: OpenRunRow) -> Outcome | None:
        handle = self._client.get_workflow_handle(row.workflow_id)
        try:
            description = await handle.describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return _ended(OutcomeKind.ORPHANED, f"Temporal no longer knows its workflow {row.workflow_id}.")
            raise
        if description.status in _CLOSED:
            return _ended(*_CLOSED[description.status])
        wedged = _wedged(row, description)
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


def _wedged(row: OpenRunRow, description: WorkflowExecutionDescription) -> Outcome | None:
    """A phase that keeps failing before it has a row, or a workflow task that keeps failing."""
    raw: DescribeWorkflowExecutionResponse = description.raw_description
    for pending in raw.pending_activities:
        told = pending.last_failure.message
        before_a_row = pending.last_failure.application_failure_info.type not in _COUNTED
        if pending.attempt > EQUAL_FAILURES and before_a_row:
            return Outcome(
                kind=OutcomeKind.PHASE_ERROR,
                detail=row.phase or pending.activity_id,
                error=PhaseError(
                    kind=ErrorKind.INTERNAL,
                    message=f"The phase failed {pending.attempt - 1} times before it could start: {told}",
                    excerpt=pending.last_failure.stack_trace[-1_000:],
                    hint="A worker without this code, or a message it cannot read: update or restart the worker.",
                ),
            )
    if raw.pending_workflow_task.attempt > EQUAL_FAILURES:
        return Outcome(
            kind=OutcomeKind.ORPHANED,
            error=PhaseError(
                kind=ErrorKind.INTERNAL,
                message=f"Its workflow task failed {raw.pending_workflow_task.attempt - 1} times in a row.",
                hint="The workflow's history in the Temporal UI shows the cause; usually the worker's code changed.",
            ),
        )
    return None


_COUNTED = {"NotNow", Unavailable.__name__, *ErrorKind}
"""Failures of a phase that has, or will have, its row: bounded there. Any other type means that the phase never
began: an unregistered activity, a bad import, a payload that cannot be read."""
