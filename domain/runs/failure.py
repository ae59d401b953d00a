"""Phase error kinds (closed) and the one table that maps each to what happens next."""

from enum import StrEnum
from typing import Literal

from domain.base import Frozen

EXCERPT_LIMIT = 2_000
"""Characters of excerpt kept in a PhaseError; the whole output is an artifact."""


class ErrorKind(StrEnum):
    # of a model call (DESIGN 6)
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    CONTENT_FILTERED = "content_filtered"
    CONTEXT_LENGTH = "context_length"
    INVALID_REQUEST = "invalid_request"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    MALFORMED_RESPONSE = "malformed_response"
    POLICY_BLOCKED = "policy_blocked"
    MISSING_CREDENTIAL = "missing_credential"
    CANCELLED = "cancelled"
    # of a phase (DESIGN 5.1)
    COMMAND_FAILED = "command_failed"
    TIME_LIMIT = "time_limit"
    STALLED = "stalled"
    WORKER_LOST = "worker_lost"
    WORKSPACE = "workspace"
    SANDBOX = "sandbox"
    PLUGIN = "plugin"
    INVALID_OUTPUT = "invalid_output"
    OVERSIZED = "oversized"
    STORAGE = "storage"
    INTERNAL = "internal"


class FailureClass(StrEnum):
    INFRASTRUCTURE = "infrastructure"
    """Retried by Temporal; counted from execution rows; after the bound it ends as `phase_error`."""
    SEMANTIC = "semantic"
    """A returned value; counts in the loop; outside a loop it ends as `phase_error`."""
    WAIT = "wait"
    """The phase waits durably (`NotNow`) and is tried again."""
    FINAL = "final"
    """Ends the run."""


FAILURE_CLASS: dict[ErrorKind, FailureClass] = {
    ErrorKind.RATE_LIMITED: FailureClass.WAIT,
    ErrorKind.QUOTA_EXHAUSTED: FailureClass.FINAL,
    ErrorKind.AUTHENTICATION: FailureClass.FINAL,
    ErrorKind.PERMISSION: FailureClass.FINAL,
    ErrorKind.NOT_FOUND: FailureClass.FINAL,
    ErrorKind.CONTENT_FILTERED: FailureClass.SEMANTIC,
    ErrorKind.CONTEXT_LENGTH: FailureClass.FINAL,
    ErrorKind.INVALID_REQUEST: FailureClass.FINAL,
    ErrorKind.OVERLOADED: FailureClass.INFRASTRUCTURE,
    ErrorKind.SERVER_ERROR: FailureClass.INFRASTRUCTURE,
    ErrorKind.TIMEOUT: FailureClass.INFRASTRUCTURE,
    ErrorKind.CONNECTION: FailureClass.INFRASTRUCTURE,
    ErrorKind.MALFORMED_RESPONSE: FailureClass.SEMANTIC,
    ErrorKind.POLICY_BLOCKED: FailureClass.FINAL,
    ErrorKind.MISSING_CREDENTIAL: FailureClass.FINAL,
    ErrorKind.CANCELLED: FailureClass.FINAL,
    ErrorKind.COMMAND_FAILED: FailureClass.SEMANTIC,
    ErrorKind.TIME_LIMIT: FailureClass.SEMANTIC,
    ErrorKind.STALLED: FailureClass.SEMANTIC,
    ErrorKind.WORKER_LOST: FailureClass.INFRASTRUCTURE,
    ErrorKind.WORKSPACE: FailureClass.FINAL,
    ErrorKind.SANDBOX: FailureClass.INFRASTRUCTURE,
    ErrorKind.PLUGIN: FailureClass.FINAL,
    ErrorKind.INVALID_OUTPUT: FailureClass.SEMANTIC,
    ErrorKind.OVERSIZED: FailureClass.FINAL,
    ErrorKind.STORAGE: FailureClass.INFRASTRUCTURE,
    ErrorKind.INTERNAL: FailureClass.INFRASTRUCTURE,
}


class PhaseError(Frozen):
    """Why a phase, or a run without a phase, failed. Never empty: a person acts on it."""

    kind: ErrorKind
    message: str
    """One sentence: what failed and why."""
    excerpt: str = ""
    """The lines that show it, redacted, at most EXCERPT_LIMIT characters."""
    hint: str = ""
    """What to do."""
    retry_after_seconds: float | None = None
    """When the other side said how long to wait."""
    budget: Literal["tokens", "cost"] | None = None
    """The run's own budget that a call would have overshot: the run ends as `budget_exceeded`."""
    stuck: bool = False
    """The phase went round in circles: the run ends as `stuck`, whatever iterations are left."""

    @property
    def failure_class(self) -> FailureClass:
        return FAILURE_CLASS[self.kind]
