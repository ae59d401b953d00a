"""A run's short work on the record: local activities, each one transaction."""

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from activities.runs.records import RunRecords
    from domain.runs.ids import UNVERIFIED_ACTOR
    from domain.runs.messages import RunStart
    from domain.runs.outcome import Outcome
    from domain.runs.requests import CancelRequest
    from domain.runs.run_ledger import (
        AppliedRequests,
        ApplyRequests,
        FinaliseRun,
        OpenedRun,
        OpenRun,
        RecordedRequest,
        RequestCancel,
        TemporalRequest,
    )
    from domain.runs.state import RunState
    from domain.runs.words import RequestKind

from workflows.options import OPEN_TIMEOUT, RECORD_RETRY, RECORD_TIMEOUT


class Records:
    """Typed calls; the workflow owns when."""

    @staticmethod
    async def open(start: RunStart) -> OpenedRun:
        info = workflow.info()
        return await workflow.execute_local_activity_method(
            RunRecords.open_run,
            OpenRun(
                start=start,
                workflow_id=info.workflow_id,
                workflow_run_id=info.run_id,
                started_at_seconds=workflow.now().timestamp(),
            ),
            start_to_close_timeout=OPEN_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )

    @staticmethod
    async def finalise(state: RunState, outcome: Outcome) -> None:
        await workflow.execute_local_activity_method(
            RunRecords.finalise_run,
            FinaliseRun(
                org_id=state.org_id,
                run_id=state.run_id,
                outcome=outcome,
                iterations=state.iterations,
                pipeline=state.pipeline.name,
                started_at_seconds=state.started_at_seconds,
            ),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )

    @staticmethod
    async def apply_requests(state: RunState) -> AppliedRequests:
        return await workflow.execute_local_activity_method(
            RunRecords.apply_requests,
            ApplyRequests(org_id=state.org_id, run_id=state.run_id),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )

    @staticmethod
    async def request_cancel(state: RunState, reason: str) -> None:
        await workflow.execute_local_activity_method(
            RunRecords.request_cancel,
            RequestCancel(org_id=state.org_id, run_id=state.run_id, actor=UNVERIFIED_ACTOR, reason=reason),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )

    @staticmethod
    async def record_cancel(state: RunState, asked: CancelRequest, problem: str | None = None) -> RecordedRequest:
        return await workflow.execute_local_activity_method(
            RunRecords.record_request,
            TemporalRequest(
                org_id=state.org_id,
                run_id=state.run_id,
                kind=RequestKind.CANCEL,
                payload_json=asked.model_dump_json(),
                problem=problem,
            ),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RECORD_RETRY,
        )

    @staticmethod
    async def record_cancel_signal(state: RunState, raw: RawValue) -> None:
        """A signal has no answer: one that is not valid is recorded as refused."""
        try:
            data = raw.payload.data
            asked = CancelRequest.model_validate_json(data) if data else CancelRequest()
        except ValidationError as error:
            await Records.record_cancel(
                state, CancelRequest(), f"the cancel signal is not valid: {error.errors()[0]['msg']}"
            )
            return
        await Records.record_cancel(state, asked)
