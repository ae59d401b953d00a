"""What a run does next: one pure function. Property-tested without Temporal (tests/domain/runs)."""

from domain.base import Frozen
from domain.runs.messages import AttemptKey
from domain.runs.outcome import Outcome
from domain.runs.state import RunState
from domain.runs.words import AttemptCause


class RunPhase(Frozen):
    key: AttemptKey
    cause: AttemptCause
    time_limit_seconds: float
    tree: str | None


class Finish(Frozen):
    outcome: Outcome


Decision = RunPhase | Finish


def decide(state: RunState, now_seconds: float) -> Decision:
    """The next phase, or the end with its outcome. `now_seconds` is the workflow's clock."""
    raise NotImplementedError  # replaced by the loop helper
