"""What a run's local activities need of the record: its opening, its requests, its end."""

from typing import Protocol
from uuid import UUID

from domain.base import Frozen
from domain.runs.failure import PhaseError
from domain.runs.messages import RunStart
from domain.runs.outcome import Outcome
from domain.runs.starting import StartFacts
from domain.runs.state import RunState
from domain.runs.words import RequestKind, RequestStatus


class RepositoryBase(Protocol):
    """What a run starts from (domain.workspaces.ports.Base satisfies it)."""

    @property
    def commit(self) -> str: ...

    @property
    def tree(self) -> str: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...


class OpenedRun(Frozen):
    """A run that the workflow may go on with, or the reason why not."""

    state: RunState | None = None
    refused: PhaseError | None = None
    run_id: UUID | None = None


class OpenRun(Frozen):
    """Argument of the local activity that opens a run."""

    start: RunStart
    workflow_id: str
    workflow_run_id: str
    started_at_seconds: float


class ApplyRequests(Frozen):
    """Argument of the local activity that reads pending requests."""

    org_id: UUID
    run_id: UUID


class RequestCancel(Frozen):
    """Argument of the local activity behind a native cancel."""

    org_id: UUID
    run_id: UUID
    actor: str
    reason: str = ""


class RecordedRequest(Frozen):
    """What a direct caller gets back."""

    request_id: UUID
    status: RequestStatus


class FinaliseRun(Frozen):
    org_id: UUID
    run_id: UUID
    outcome: Outcome
    iterations: int = 0
    pipeline: str = ""
    started_at_seconds: float = 0.0


class TemporalRequest(Frozen):
    """What came straight through Temporal, to be recorded before it is acted on."""

    org_id: UUID
    run_id: UUID
    kind: RequestKind
    payload_json: str = "{}"
    problem: str | None = None
    """Set: it is recorded as refused with this reason."""


class AppliedRequests(Frozen):
    """What pending requests mean for the workflow."""

    cancel: bool = False


class RunLedger(Protocol):
    """The record as the workflow's local activities see it."""

    async def repository_path(self, start: RunStart) -> str | None:
        """Where the repository of a start by hand lies (its `repo`, or its workspace's), to be inspected before
        `open`; None when it names none or was recorded before. Raises NotFound."""
        ...

    async def start_facts(self, start: RunStart) -> StartFacts | None:
        """Of a start by hand, to be checked before `open`; None when it was recorded before, or names no known
        pipeline (`open` refuses that). Raises NotFound."""
        ...

    async def open(self, request: OpenRun, base: RepositoryBase | None) -> OpenedRun:
        """A start with `run_id` loads the recorded row and moves it to RUNNING; one with `task` makes the row,
        idempotently by (workflow id, Temporal run id), on `base`. Raises InvalidInput or NotFound (nothing was
        written)."""
        ...

    async def finalise(self, request: FinaliseRun) -> None:
        """Status, outcome, totals and the `run.finished` event in one transaction; applied once."""
        ...

    async def apply_requests(self, org_id: UUID, run_id: UUID) -> AppliedRequests:
        """Marks what is pending as applied (or refused, with the reason) and says what it means."""
        ...

    async def record_request(self, request: TemporalRequest) -> tuple[UUID, RequestStatus]: ...

    async def request_cancel(self, org_id: UUID, run_id: UUID, *, actor: str, reason: str) -> None:
        """Sets the flag that phases watch. Idempotent."""
        ...
