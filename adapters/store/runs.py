"""RunLedger over PostgreSQL: the record as the workflow's local activities see it (migrations/sql/0002/runs.sql)."""

import asyncio
import json
from collections.abc import Callable
from uuid import UUID

from uuid6 import uuid7

from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import Database
from adapters.store.documents import arguments, document, embed, storable
from adapters.store.new_runs import ENDED_PROBLEM, HandStart, NewRuns
from adapters.store.phases import LOST
from domain.base import Frozen
from domain.errors import InvalidInput, NotFound
from domain.runs.failure import ErrorKind, PhaseError
from domain.runs.ids import UNVERIFIED_ACTOR
from domain.runs.messages import RunStart
from domain.runs.outcome import Outcome
from domain.runs.run_ledger import (
    AppliedRequests,
    FinaliseRun,
    OpenedRun,
    OpenRun,
    RepositoryBase,
    TemporalRequest,
)
from domain.runs.starting import StartFacts
from domain.runs.state import RunState
from domain.runs.words import OutcomeKind, RequestKind, RequestStatus, RunStatus

UNKNOWN_PROBLEM = "Only a cancel can be asked of a run in this version; start a new run for anything else."


class _Opened(Frozen):
    state: RunState | None = None
    run_id: UUID | None = None
    closed: RunStatus | None = None
    missing: bool = False


class PostgresRunLedger:
    """`told` is called with the run's id after each write that viewers want to see."""

    def __init__(self, database: Database, told: Callable[[UUID], None]) -> None:
        self._database = database
        self._told = told
        self._catalogue = PostgresCatalogue(database)
        self._new_runs = NewRuns(database, self._catalogue)

    async def repository_path(self, start: RunStart) -> str | None:
        return await self._new_runs.repository_path(start)

    async def start_facts(self, start: RunStart) -> StartFacts | None:
        if start.task is None:
            return None
        org_id = await self._catalogue.organization(start.org)
        pipeline, workspace, policy = await asyncio.gather(
            self._catalogue.pipeline(org_id, start.pipeline),
            self._catalogue.workspace(org_id, start),
            self._catalogue.policy(org_id),
        )
        return StartFacts(pipeline=pipeline, workspace=workspace, policy=policy) if pipeline else None

    async def open(self, request: OpenRun, base: RepositoryBase | None) -> OpenedRun:
        start = request.start
        if start.resume is not None:
            return OpenedRun(refused=_cannot_resume(), run_id=start.resume)
        if start.run_id is None:
            by_hand = HandStart(
                workflow_id=request.workflow_id,
                workflow_run_id=request.workflow_run_id,
                started_at_seconds=request.started_at_seconds,
            )
            new = await self._new_runs.record(start, base, actor=UNVERIFIED_ACTOR, by_hand=by_hand)
            return self._opened(new.run_id, new.state, new.closed)
        found = await self._open(await self._catalogue.organization(start.org), start.run_id, request)
        if found.missing:
            raise NotFound(
                f"The record has no run {start.run_id} in organization `{start.org}`.",
                hint="Start a new run; give `task` instead of `run_id`.",
                field="run_id",
            )
        return self._opened(start.run_id, found.state, found.closed)

    def _opened(self, run_id: UUID, state: RunState | None, closed: RunStatus | None) -> OpenedRun:
        self._told(run_id)
        if closed is not None:
            return OpenedRun(refused=_has_ended(closed), run_id=run_id)
        return OpenedRun(state=state, run_id=run_id)

    async def _open(self, org_id: UUID, run_id: UUID, request: OpenRun) -> _Opened:
        asked = arguments(
            org_id=org_id,
            run_id=run_id,
            workflow_run_id=request.workflow_run_id,
            started_at_seconds=request.started_at_seconds,
            ended_problem=ENDED_PROBLEM,
        )
        return _Opened.model_validate_json(await self._database.one("SELECT run_open(%s::jsonb)::text", asked))

    async def finalise(self, request: FinaliseRun) -> None:
        asked = arguments(
            org_id=request.org_id,
            run_id=request.run_id,
            status=request.outcome.status,
            iterations=request.iterations,
            ended_problem=ENDED_PROBLEM,
        )
        asked = embed(asked, outcome=document(request.outcome), lost_error=document(_lost_with(request.outcome)))
        await self._database.one("SELECT run_finalise(%s::jsonb)", asked)
        self._told(request.run_id)

    async def apply_requests(self, org_id: UUID, run_id: UUID) -> AppliedRequests:
        asked = arguments(org_id=org_id, run_id=run_id, unknown_problem=UNKNOWN_PROBLEM)
        told = await self._database.one("SELECT run_apply_requests(%s::jsonb)::text", asked)
        self._told(run_id)
        return AppliedRequests.model_validate_json(told)

    async def record_request(self, request: TemporalRequest) -> tuple[UUID, RequestStatus]:
        """Raises InvalidInput for a payload that is no JSON, NotFound."""
        problem = request.problem or (UNKNOWN_PROBLEM if request.kind is not RequestKind.CANCEL else None)
        return await self._record(
            request.org_id, request.run_id, request.kind, _json(request.payload_json), UNVERIFIED_ACTOR, problem
        )

    async def request_cancel(self, org_id: UUID, run_id: UUID, *, actor: str, reason: str) -> None:
        await self._record(org_id, run_id, RequestKind.CANCEL, arguments(reason=reason), actor, None)

    async def _record(
        self, org_id: UUID, run_id: UUID, kind: RequestKind, payload: str, actor: str, problem: str | None
    ) -> tuple[UUID, RequestStatus]:
        asked = arguments(org_id=org_id, run_id=run_id, request_id=uuid7(), kind=kind, actor=actor, problem=problem)
        told = await self._database.one("SELECT run_record_request(%s::jsonb)::text", embed(asked, payload=payload))
        answer = json.loads(told)
        if answer.get("missing"):
            raise NotFound(f"The record has no run {run_id}.", hint="Look at the list of runs.", field="run_id")
        self._told(run_id)
        return UUID(answer["request_id"]), RequestStatus(answer["status"])


def _lost_with(outcome: Outcome) -> PhaseError:
    """Of an execution that is under way at its run's end: what ended the run, where that came from outside."""
    from_outside = outcome.kind in (OutcomeKind.CANCELLED, OutcomeKind.ORPHANED)
    return outcome.error if from_outside and outcome.error else LOST


def _json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"The payload is not JSON: {error}", hint="Send a JSON object.", field="payload") from None
    return storable(text)


def _cannot_resume() -> PhaseError:
    return PhaseError(
        kind=ErrorKind.INVALID_REQUEST,
        message="A closed run cannot be reopened in this version; start a new run.",
        hint="Start a new run with `task`.",
    )


def _has_ended(status: RunStatus) -> PhaseError:
    return PhaseError(
        kind=ErrorKind.INVALID_REQUEST,
        message=f"The run has already ended ({status}).",
        hint="Start a new run when the work is still wanted.",
    )
