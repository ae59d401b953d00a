"""RunState: everything of a run that must survive continue-as-new, in one frozen object."""

from decimal import Decimal
from uuid import UUID

from domain.base import Frozen
from domain.pipelines.spec import Pipeline
from domain.runs.messages import AttemptKey, PhaseResult, RunSettings
from domain.runs.words import AttemptCause


class AttemptRecord(Frozen):
    iteration: int
    phase: str
    attempt: int
    cause: AttemptCause
    result: PhaseResult
    stale: bool = False


class RunState(Frozen):
    """`pipeline` is the pinned version; `attempts` are in the order they ended."""

    org_id: UUID
    run_id: UUID
    pipeline: Pipeline
    settings: RunSettings = RunSettings()
    base_tree: str | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    cancel_requested: bool = False
    started_at_seconds: float = 0.0
    """Workflow clock (Unix seconds) when the run first started."""
    heartbeat_seconds: float = 30.0
    """Heartbeat timeout of this run's phases, from the worker that opened it (fixed for the run's life)."""

    def after(self, key: AttemptKey, cause: AttemptCause, result: PhaseResult) -> "RunState":
        record = AttemptRecord(
            iteration=key.iteration, phase=key.phase, attempt=key.attempt, cause=cause, result=result
        )
        return self.model_copy(update={"attempts": (*self.attempts, record)})

    def cancelled(self) -> "RunState":
        return self.model_copy(update={"cancel_requested": True})

    @property
    def current(self) -> tuple[AttemptRecord, ...]:
        """Attempts that still count."""
        return tuple(a for a in self.attempts if not a.stale)

    @property
    def tree(self) -> str | None:
        """The newest recorded tree; the base when no phase has touched it."""
        for record in reversed(self.current):
            if record.result.tree is not None:
                return record.result.tree
        return self.base_tree

    @property
    def tokens(self) -> int:
        return sum(a.result.tokens for a in self.attempts)

    @property
    def cost_usd(self) -> Decimal | None:
        """None when any part is unknown."""
        known = self.known_cost_usd
        return None if any(a.result.cost_usd is None for a in self.attempts) else known

    @property
    def known_cost_usd(self) -> Decimal:
        return sum((a.result.cost_usd for a in self.attempts if a.result.cost_usd is not None), Decimal(0))

    @property
    def iterations(self) -> int:
        return max((a.iteration for a in self.attempts), default=0)
