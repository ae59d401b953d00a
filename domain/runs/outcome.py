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


def headline(outcome: Outcome) -> str:
    """The end in one sentence, for pages, CLI and notifications."""
    match outcome.kind:
        case OutcomeKind.VERIFIED:
            return "Verified: the verification passed on the final tree"
        case OutcomeKind.COMPLETED if outcome.protected_changed:
            files = ", ".join(outcome.protected_changed[:3])
            more = f" and {len(outcome.protected_changed) - 3} more" if len(outcome.protected_changed) > 3 else ""
            return f"Completed: every phase passed, but protected files were changed ({files}{more})"
        case OutcomeKind.COMPLETED:
            return "Completed: every phase passed (nothing verified the final tree)"
    word = "Cancelled" if outcome.kind is OutcomeKind.CANCELLED else "Failed"
    return f"{word}: {outcome.error.message.rstrip('.') if outcome.error else outcome}"
