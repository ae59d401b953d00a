"""The error tree. Every error a person can meet names the thing and the way out.

MillwrightError
├── InvalidInput        what was given is wrong; `field` says which part      (HTTP 422, exit 2)
├── NotFound            the thing named does not exist for this organization  (HTTP 404, exit 2)
├── Conflict            right in itself, wrong in the present state           (HTTP 409, exit 2)
├── Forbidden           the caller's role does not allow it                   (HTTP 403, exit 4)
├── Unavailable         PostgreSQL, Temporal or the disk did not answer       (HTTP 503, exit 3)
└── PhaseFailure        a phase could not do its work; carries a PhaseError (domain.runs.failure)
"""

from domain.runs.failure import PhaseError


class MillwrightError(Exception):
    """Root. `message` says what and why, `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field


class InvalidInput(MillwrightError):
    """What was given is wrong; `field` names the part."""


class NotFound(MillwrightError):
    """The thing named does not exist, or not for this organization."""


class Conflict(MillwrightError):
    """Right in itself, but not in the present state."""


class Forbidden(MillwrightError):
    """The caller's role does not allow it."""


class Unavailable(MillwrightError):
    """Something we depend on did not answer."""


class PhaseFailure(MillwrightError):
    """Raised inside a phase; the protocol turns it into a result, a retry or a wait by its kind."""

    def __init__(self, error: PhaseError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.error = error
