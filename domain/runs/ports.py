"""What a run needs of the record. The store satisfies these; tests and production use the same ones."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from domain.agents.tools import McpServer
from domain.base import Frozen
from domain.models.ports import CallEnd
from domain.pipelines.spec import Pipeline
from domain.runs.failure import PhaseError
from domain.runs.messages import AttemptKey, ModelName, PhaseInput, PhaseResult, RunSettings, TaskSpec
from domain.runs.words import Effect, StepKind, StepStatus, WaitReason

LEASE_SECONDS = 60.0
"""Time to live of a permit; a holder that cannot renew for LEASE_SECONDS - 10 kills its own process tree."""


class WorkspaceFacts(Frozen):
    """What a phase must know of its workspace."""

    workspace_id: UUID
    name: str
    repo_path: str
    test_command: str | None = None
    setup_command: str | None = None
    setup_inputs: tuple[str, ...] = ()
    """Globs of files whose content keys the set-up cache (lock files)."""
    env: dict[str, str] = {}
    allowed_remotes: tuple[str, ...] = ()
    mcp_servers: tuple[McpServer, ...] = ()
    """Servers whose tools an agent phase may use."""
    models: dict[str, ModelName] = {}
    """Role or stage -> `provider:model`; the key `default` is for every other one (domain.models.choice)."""


class RunFacts(Frozen):
    """What a phase must know of its run; constant for the run's life, so workers may cache it."""

    org_id: UUID
    run_id: UUID
    task: TaskSpec
    pipeline: Pipeline
    settings: RunSettings
    workspace: WorkspaceFacts | None = None
    base_commit: str | None = None
    base_tree: str | None = None
    branch: str | None = None


class Lease(Frozen):
    """Proof of being the one execution of an attempt that may write. Fenced by number and token."""

    execution_id: UUID
    attempt_id: UUID
    number: int
    """1 for the first execution of the attempt."""
    token: UUID
    ttl_seconds: float = LEASE_SECONDS


class EarlierAttempt(Frozen):
    """A finished attempt as the next prompt sees it."""

    iteration: int
    phase: str
    attempt: int
    status: str
    error: PhaseError | None = None
    summary: str = ""
    """Newest output of the phase, capped: verification output, review comments, plan."""


class Began(Frozen):
    """Permit, execution row and `phase.started` event are committed."""

    lease: Lease
    run: RunFacts
    earlier: tuple[EarlierAttempt, ...] = ()
    """The newest attempt of each phase that has ended, oldest first."""
    feedback: tuple[str, ...] = ()
    cancel_requested: bool = False


class AlreadyDone(Frozen):
    """The attempt has a committed result."""

    result: PhaseResult


class MustWait(Frozen):
    """No permit: only the change to waiting was written."""

    reason: WaitReason
    until: datetime


class Usage(Frozen):
    """What an execution used, summed over its steps."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: Decimal | None = Decimal(0)
    api_seconds: float = 0.0


class ArtifactRef(Frozen):
    """A body in the artifact store, by content."""

    sha256: str
    size_bytes: int
    media_type: str = "text/plain; charset=utf-8"
    name: str = ""
    """What it is to the attempt: output, diff, reply, prompt."""


class Finished(Frozen):
    """Everything that the closing transaction of an attempt (or of one execution of it) writes."""

    result: PhaseResult
    usage: Usage = Usage()
    tree_before: str | None = None
    tree_after: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    model_asked: str | None = None
    model_answered: str | None = None
    summary: str = ""
    """What later prompts and the run page show first, capped."""
    artifacts: tuple[ArtifactRef, ...] = ()
    commit: "CommitFacts | None" = None
    branch: str | None = None
    """Set when the phase delivered the branch."""
    output: str = ""
    """What of the live output was not sent before: its last chunk, written in the same transaction."""
    output_sequence: int = 0
    """Number of that chunk."""


class CommitFacts(Frozen):
    sha: str
    subject: str
    files_changed: int
    insertions: int | None
    """Lines; None when a changed file is too large for git to count its lines."""
    deletions: int | None

    @property
    def changed(self) -> str:
        """How much it changes, for people: `1 file, +2 -1`."""
        files = f"{self.files_changed} file{'' if self.files_changed == 1 else 's'}"
        if self.insertions is None or self.deletions is None:
            return f"{files}, lines not counted"
        return f"{files}, +{self.insertions} -{self.deletions}"

    @property
    def line(self) -> str:
        return f"{self.sha[:12]} {self.subject} ({self.changed})"


class StepStart(Frozen):
    """Written before the effect (invariant 9)."""

    key: str
    """Unique in the attempt: an answered model call or a done effect is found by it again."""
    kind: StepKind
    title: str
    effect: Effect = Effect.NONE


class StepEnd(Frozen):
    status: StepStatus
    queue_seconds: float = 0.0
    api_seconds: float = 0.0
    run_seconds: float = 0.0
    exit_code: int | None = None
    signal: str | None = None
    error: PhaseError | None = None
    tail: str = ""
    """Last 5 lines of output, redacted."""


class Renewal(Frozen):
    """What the ticker learns: whether the lease still holds, and whether the run is to be cancelled."""

    held: bool
    cancel_requested: bool


class PhaseLedger(Protocol):
    """The record as a phase sees it: the protocol of DESIGN 5.2. One database round trip per method."""

    async def begin(self, phase: PhaseInput, *, worker: str, max_executions: int) -> Began | AlreadyDone | MustWait:
        """Steps 1 and 2. A new execution of an attempt takes over its permit row with a new token and marks
        the earlier execution `lost`. After `max_executions` executions without a result the attempt is
        committed as failed (kind of the last failure, else `worker_lost`) and returned as AlreadyDone."""
        ...

    async def renew(self, leases: Sequence[tuple[AttemptKey, Lease]]) -> Sequence[Renewal]:
        """Renews every lease of this worker in one statement."""
        ...

    async def start_step(self, key: AttemptKey, lease: Lease, step: StepStart) -> StepStatus | None:
        """The status of an earlier step with this key, if there is one (then nothing is written); else None."""
        ...

    async def end_step(self, key: AttemptKey, lease: Lease, step_key: str, end: StepEnd) -> None: ...

    async def finish(self, key: AttemptKey, lease: Lease, finished: Finished, call: CallEnd | None = None) -> bool:
        """Step 4 and the release of the permit, in one transaction. False: fenced, nothing of it was written. `call`
        is the phase's last one, whose end was left to this transaction: it is written in any case, it was paid."""
        ...

    async def fail_execution(self, key: AttemptKey, lease: Lease, error: PhaseError, usage: Usage) -> bool:
        """Ends this execution with an infrastructure failure and releases the permit; the attempt stays open."""
        ...

    async def wait(self, key: AttemptKey, lease: Lease, wait: MustWait) -> bool:
        """The execution turned out to be none (a rate limit, a cooling provider): takes its row back, releases
        the permit, writes the change to waiting. The next `begin` is that attempt's next try."""
        ...

    async def release(self, key: AttemptKey, lease: Lease) -> None:
        """Step 5 when nothing else could be written."""
        ...


class OutputSink(Protocol):
    """Live output of one execution; writes are batched by the caller."""

    async def append(self, key: AttemptKey, lease: Lease, sequence: int, text: str) -> None: ...


class RunWarnings(Protocol):
    async def warn(self, org_id: UUID, run_id: UUID, message: str) -> None:
        """Something to know of a run that is neither a failure nor a step of it; the same is told once."""
        ...
