"""What a phase's failure means that came from Temporal and not from the phase (it left no result)."""

from temporalio import workflow
from temporalio.exceptions import ActivityError, CancelledError, FailureError, TimeoutError

with workflow.unsafe.imports_passed_through():
    from domain.runs.failure import ErrorKind, PhaseError
    from domain.runs.messages import PhaseResult
    from domain.runs.words import PhaseStatus


def result_of_failure(error: FailureError) -> PhaseResult:
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
