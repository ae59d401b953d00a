"""The closed words of a run. Each list has its CHECK in the record (adapters/store/tables)."""

from enum import StrEnum


class RunStatus(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        return self in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)


class OutcomeKind(StrEnum):
    VERIFIED = "verified"
    COMPLETED = "completed"
    MAX_ITERATIONS = "max_iterations"
    MAX_CONSECUTIVE_FAILURES = "max_consecutive_failures"
    MAX_FAILURES = "max_failures"
    STUCK = "stuck"
    BUDGET_EXCEEDED = "budget_exceeded"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    POLICY_BLOCKED = "policy_blocked"
    REJECTED = "rejected"
    PHASE_ERROR = "phase_error"
    INVALID_INPUT = "invalid_input"
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"

    @property
    def run_status(self) -> RunStatus:
        if self in (OutcomeKind.VERIFIED, OutcomeKind.COMPLETED):
            return RunStatus.SUCCEEDED
        return RunStatus.CANCELLED if self is OutcomeKind.CANCELLED else RunStatus.FAILED


class AttemptCause(StrEnum):
    FIRST = "first"
    REQUESTED = "requested"
    DOWNSTREAM = "downstream"


class PhaseStatus(StrEnum):
    """How an attempt ended; `running` and `waiting` only in the record."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    CHANGES_REQUESTED = "changes_requested"
    """A review asked for changes: not an error, but the iteration did not pass."""
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExecutionStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It ended with an infrastructure failure and Temporal tries again."""
    LOST = "lost"
    """Its worker died or was fenced by a newer execution."""


class StepKind(StrEnum):
    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"
    COMMAND = "command"
    EFFECT = "effect"


class StepStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


class Effect(StrEnum):
    NONE = "none"
    IDEMPOTENT = "idempotent"
    UNSAFE = "unsafe"


class RequestKind(StrEnum):
    START = "start"
    CANCEL = "cancel"
    RETRY = "retry"
    FEEDBACK = "feedback"
    APPROVE = "approve"


class RequestStatus(StrEnum):
    RECORDED = "recorded"
    SENT = "sent"
    APPLIED = "applied"
    REFUSED = "refused"


class WaitReason(StrEnum):
    NO_PERMIT = "no_permit"
    PAUSED = "paused"
    COOLING = "cooling"
    RATE_LIMIT = "rate_limit"


class EventType(StrEnum):
    RUN_QUEUED = "run.queued"
    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    RUN_CANCEL_REQUESTED = "run.cancel_requested"
    RUN_WARNING = "run.warning"
    REQUEST_APPLIED = "request.applied"
    REQUEST_REFUSED = "request.refused"
    PHASE_WAITING = "phase.waiting"
    PHASE_STARTED = "phase.started"
    PHASE_FINISHED = "phase.finished"
    PHASE_LOST = "phase.lost"
    """An execution whose worker died or was cut off; another follows."""
    PHASE_EXECUTION_FAILED = "phase.execution_failed"
    """An execution that ended with an infrastructure failure; another follows."""
    COMMIT_CREATED = "commit.created"
    BRANCH_DELIVERED = "branch.delivered"
