"""A phase as one activity: how it is scheduled, and its result, also where Temporal and not the phase ended it."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, FailureError, TimeoutError

with workflow.unsafe.imports_passed_through():
    from activities.runs.protocol import Phases
    from domain.runs.decide import RunPhase
    from domain.runs.failure import ErrorKind, PhaseError
    from domain.runs.messages import PhaseInput, PhaseResult
    from domain.runs.state import RunState
    from domain.runs.words import PhaseStatus


from workflows.options import PHASE_GRACE, PHASE_RETRY, PHASE_SCHEDULE_TO_CLOSE


def start_phase(state: RunState, decision: RunPhase) -> workflow.ActivityHandle[PhaseResult]:
    key = decision.key
    return workflow.start_activity_method(
        Phases.run_phase,
        PhaseInput(
            key=key,
            cause=decision.cause,
            time_limit_seconds=decision.time_limit_seconds,
            tree=decision.tree,
            max_executions=state.pipeline.phase(key.phase).max_executions,
        ),
        activity_id=f"{key.phase}/{key.iteration}/{key.attempt}",
        start_to_close_timeout=timedelta(seconds=decision.time_limit_seconds) + PHASE_GRACE,
        schedule_to_close_timeout=PHASE_SCHEDULE_TO_CLOSE,
        heartbeat_timeout=timedelta(seconds=state.heartbeat_seconds),
        retry_policy=PHASE_RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def result_of(handle: workflow.ActivityHandle[PhaseResult]) -> PhaseResult:
    """Of an activity that is done."""
    try:
        return handle.result()
    except (ActivityError, ApplicationError) as error:
        return _result_of_failure(error)


def _result_of_failure(error: FailureError) -> PhaseResult:
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, CancelledError):
        return _failed(
            PhaseStatus.CANCELLED,
            PhaseError(kind=ErrorKind.CANCELLED, message="Cancelled while it waited for its turn."),
        )
    if isinstance(cause, TimeoutError):
        told = cause.cause.message if isinstance(cause.cause, FailureError) else "no worker finished it"
        return _failed(
            PhaseStatus.FAILED,
            PhaseError(
                kind=ErrorKind.WORKER_LOST,
                message=f"The phase did not end within its longest time ({cause.type}): {told}.",
                hint="Look at the worker's log and at the permits page, then start the run again.",
            ),
        )
    message = cause.message if isinstance(cause, FailureError) else str(cause)
    return _failed(
        PhaseStatus.FAILED,
        PhaseError(
            kind=ErrorKind.INTERNAL,
            message=message or "The phase failed without a message.",
            hint="See the worker's log at this time.",
        ),
    )


def _failed(status: PhaseStatus, error: PhaseError) -> PhaseResult:
    return PhaseResult(status=status, error=error, fingerprint=error.kind, cost_usd=None)
