"""What an executor of a phase kind gets, and what it gives back to the protocol."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from activities.models.settling import Settlement
from activities.runs.live_output import LiveOutput
from activities.runs.stop import StopSignal
from domain.base import Frozen
from domain.pipelines.spec import WorkPhase
from domain.runs.failure import PhaseError
from domain.runs.messages import AttemptKey, PhaseInput
from domain.runs.ports import ArtifactRef, Began, CommitFacts, Lease, RunFacts, Usage, WorkspaceFacts
from domain.runs.words import PhaseStatus

SUMMARY_LIMIT = 16_000
"""Characters of a phase's text kept in its row; a longer one is an artifact as well."""


class Work(Frozen):
    """What the phase's kind did; the protocol adds trees and commits it."""

    status: PhaseStatus = PhaseStatus.PASSED
    error: PhaseError | None = None
    fingerprint: str | None = None
    summary: str = ""
    exit_code: int | None = None
    signal: str | None = None
    usage: Usage = Usage()
    model_asked: str | None = None
    model_answered: str | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    commit: CommitFacts | None = None
    branch: str | None = None


@dataclass(frozen=True)
class Worktree:
    """The run's worktree, locked and restored to `tree`."""

    facts: WorkspaceFacts
    path: Path
    tree: str
    base_tree: str
    base_commit: str
    protected_changed: tuple[str, ...] = ()

    @property
    def guard_lock(self) -> Path:
        """Held while any process of a command in this worktree lives."""
        return self.path.with_name(f"{self.path.name}.guard")


@dataclass(frozen=True)
class PhaseContext:
    phase: PhaseInput
    spec: WorkPhase
    began: Began
    stop: StopSignal
    output: LiveOutput
    settlement: Settlement
    worktree: Worktree | None = None

    @property
    def key(self) -> AttemptKey:
        return self.phase.key

    @property
    def run(self) -> RunFacts:
        return self.began.run

    @property
    def lease(self) -> Lease:
        return self.began.lease

    @property
    def tree(self) -> Worktree:
        """The worktree of a phase that declared that it touches one."""
        assert self.worktree is not None, f"phase {self.spec.name} declared no use of the worktree"
        return self.worktree


class PhaseExecutor(Protocol):
    """One per phase kind. Raises PhaseFailure or Stopped; anything else is `internal`."""

    async def execute(self, context: PhaseContext) -> Work: ...
