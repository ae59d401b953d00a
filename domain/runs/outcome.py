"""A run's end: one closed kind, and the phase or budget it names."""

from domain.base import Frozen
from domain.runs.failure import PhaseError
from domain.runs.words import OutcomeKind, RunStatus


class Outcome(Frozen):
    kind: OutcomeKind
    detail: str | None = None
    """The phase, or for `budget_exceeded` one of tokens, cost, time."""
    error: PhaseError | None = None
    """Set for every kind that is no success."""
    protected_changed: tuple[str, ...] = ()
    """Protected files that the run changed (then the best outcome is `completed`)."""

    def __str__(self) -> str:
        return f"{self.kind}({self.detail})" if self.detail else str(self.kind)

    @property
    def status(self) -> RunStatus:
        return self.kind.run_status
