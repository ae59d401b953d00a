"""What people read of runs: frozen read models for API and pages, filled by adapters/store/views.py.

Null is unknown, never zero. Times are timezone-aware, durations in seconds, money in US dollars.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from domain.base import Frozen
from domain.money import Usd
from domain.pipelines.spec import Pipeline
from domain.runs.failure import PhaseError
from domain.runs.messages import RunSettings, TaskSpec
from domain.runs.ports import ArtifactRef, CommitFacts
from domain.runs.words import (
    AttemptCause,
    Effect,
    EventType,
    ExecutionStatus,
    OutcomeKind,
    PhaseStatus,
    RequestKind,
    RequestStatus,
    RunStatus,
    StepKind,
    StepStatus,
    WaitReason,
)


class UsageView(Frozen):
    """Sums over model calls. `cost_usd` is None when any part is unknown; `known_cost_usd` is the sum of the rest."""

    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: Usd | None = Decimal(0)
    known_cost_usd: Usd = Decimal(0)
    api_seconds: float = 0.0


class RunFilter(Frozen):
    """None: not filtered by."""

    status: RunStatus | None = None
    pipeline: str | None = None
    workspace: str | None = None
    """Name of a workspace."""


class RunListItem(Frozen):
    """One line of the run list."""

    id: UUID
    status: RunStatus
    outcome_kind: OutcomeKind | None = None
    outcome_detail: str | None = None
    error: PhaseError | None = None
    title: str
    pipeline_name: str
    workspace_name: str | None = None
    branch: str | None = None
    model: str | None = None
    """The model that the run's settings name for all roles; None: each phase chooses its own."""
    actor: str
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    current_phase: str | None = None
    """The phase that runs or waits, or the last one that did; None before the first and after the end."""
    current_iteration: int | None = None
    waiting_reason: WaitReason | None = None
    waiting_until: datetime | None = None
    iterations: int = 0
    delivery_problem: str | None = None
    """Why Temporal does not have the oldest undelivered request of this run; it is tried again by itself."""
    usage: UsageView = UsageView()


class RunPage(Frozen):
    """Exactly one of `total` and `total_at_least` is set."""

    runs: tuple[RunListItem, ...]
    total: int | None = None
    total_at_least: int | None = None
    next_cursor: str | None = None
    """For the page after this one; None on the last."""


class StepView(Frozen):
    id: UUID
    key: str
    kind: StepKind
    title: str
    effect: Effect
    status: StepStatus
    started_at: datetime
    ended_at: datetime | None = None
    queue_seconds: float | None = None
    api_seconds: float | None = None
    run_seconds: float | None = None
    exit_code: int | None = None
    signal: str | None = None
    error: PhaseError | None = None
    tail: str = ""
    provider: str | None = None
    model_asked: str | None = None
    model_answered: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    cost_usd: Usd | None = None
    price_version: str | None = None
    reply_sha256: str | None = None


class ExecutionView(Frozen):
    id: UUID
    number: int
    ordinal: int
    """Number of its `phase.started` event: orders the executions of a run, and names it in the stream's id."""
    status: ExecutionStatus
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    error: PhaseError | None = None
    usage: UsageView = UsageView()
    steps: tuple[StepView, ...] = ()


class AttemptView(Frozen):
    id: UUID
    iteration: int
    """0 outside the loop."""
    phase: str
    attempt: int
    kind: str
    cause: AttemptCause
    status: PhaseStatus
    stale: bool = False
    error: PhaseError | None = None
    fingerprint: str | None = None
    summary: str = ""
    tree_before: str | None = None
    tree_after: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    model_asked: str | None = None
    model_answered: str | None = None
    commit: CommitFacts | None = None
    branch: str | None = None
    turns: int = 0
    """Of an agent, recorded so far."""
    waiting_reason: WaitReason | None = None
    waiting_until: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    usage: UsageView = UsageView()
    artifacts: tuple[ArtifactRef, ...] = ()
    executions: tuple[ExecutionView, ...] = ()
    waits: tuple[StepView, ...] = ()
    """Steps of tries that turned out to be waits (a rate limit)."""


class PhaseView(Frozen):
    """One phase in one iteration, with all its attempts; the newest is last."""

    iteration: int
    phase: str
    kind: str
    attempts: tuple[AttemptView, ...]

    @property
    def newest(self) -> AttemptView:
        return self.attempts[-1]


class RequestView(Frozen):
    id: UUID
    kind: RequestKind
    status: RequestStatus
    actor: str
    reason: str = ""
    """Given by who asked."""
    problem: str | None = None
    """Why it was refused."""
    created_at: datetime
    sent_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def by_whom(self) -> str:
        """`ada: enough`."""
        return f"{self.actor}: {self.reason}" if self.reason else self.actor


class RunView(RunListItem):
    """Everything of one run but its events and output."""

    task: TaskSpec
    settings: RunSettings
    pipeline: Pipeline
    pipeline_hash: str
    protected_changed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """To know, though nothing failed: a dirty checkout, what was red before, what commands are not protected from."""
    workspace_id: UUID | None = None
    repo_path: str | None = None
    base_commit: str | None = None
    base_tree: str | None = None
    delivered_branch: str | None = None
    workflow_id: str
    workflow_run_id: str | None = None
    newest_event: int
    """Number of the newest event in this view: the stream goes on after it."""
    phases: tuple[PhaseView, ...] = ()
    """In the order in which they first began."""
    requests: tuple[RequestView, ...] = ()

    @property
    def cancel_asked(self) -> RequestView | None:
        """The first cancel that was not refused."""
        cancels = (request for request in self.requests if request.kind is RequestKind.CANCEL)
        return next((request for request in cancels if request.status is not RequestStatus.REFUSED), None)


class EventView(Frozen):
    seq: int
    type: EventType
    at: datetime
    iteration: int | None = None
    phase: str | None = None
    attempt: int | None = None
    execution: int | None = None
    actor: str | None = None
    data: dict[str, object] = {}


class ChunkView(Frozen):
    """A piece of live output."""

    execution_ordinal: int
    seq: int
    text: str
    at: datetime


class PermitView(Frozen):
    """Who holds a permit, since when, and until when if it is not renewed."""

    pool: str
    run_id: UUID | None = None
    phase: str | None = None
    iteration: int | None = None
    attempt: int | None = None
    worker: str
    acquired_at: datetime
    expires_at: datetime


class PoolView(Frozen):
    name: str
    size: int | None = None
    """None: no bound of its own (a provider without a limit on concurrent calls, or one that the policy states)."""
    in_use: int
    permits: tuple[PermitView, ...] = ()
    """Those of the organization that asks; others are only counted."""


class FailureCount(Frozen):
    phase: str
    kind: str
    count: int


class LatencyHistogram(Frozen):
    """Of one phase kind: `counts[i]` phases took at most `bounds[i]` seconds (not cumulative); the last is the rest."""

    kind: str
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum_seconds: float


class WorkerView(Frozen):
    id: str
    host: str
    pid: int
    slots: int
    started_at: datetime
    seen_at: datetime


class MetricsSnapshot(Frozen):
    """Over all organizations; labels are bounded."""

    runs: dict[RunStatus, int]
    phase_failures: tuple[FailureCount, ...]
    """The phases with most failures; the others together as phase `other`."""
    phase_seconds: tuple[LatencyHistogram, ...]
    pools: tuple[PoolView, ...]
    undelivered_requests: int
    workers: tuple[WorkerView, ...]


PHASE_SECONDS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""Upper bounds of the latency buckets; the writers in the record use the same (a test compares them)."""
