"""Runs: start, list, read, cancel."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response, status

from api.deps import Operator, TheDeps, Viewer
from api.paging import Cursor, Limit, Offset, check_paging
from api.problems import documented
from api.schemas import Accepted, CancelBody, StartBody
from api.starting import start_run
from domain.errors import NotFound
from domain.runs.views import AttemptView, RunFilter, RunPage, RunView
from domain.runs.words import RunStatus

router = APIRouter(prefix="/runs", tags=["runs"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        description="Any text of your own. The same key with the same body records nothing new and answers the same; "
        "with another body it is a 409.",
        examples=["ci-build-4711"],
    ),
]


@router.post("", status_code=status.HTTP_202_ACCEPTED, responses=documented(403, 409, 413, 422))
async def start(
    body: StartBody, deps: TheDeps, caller: Operator, response: Response, idempotency_key: IdempotencyKey = None
) -> Accepted:
    """Records a run and answers at once; the relay brings it to Temporal. Refused at once, with the field named: a
    folder that is no repository, an unknown pipeline, a missing test command, a model outside the policy."""
    accepted = await start_run(deps, caller.principal, body, idempotency_key)
    response.headers["Location"] = f"/runs/{accepted.run_id}"
    return accepted


@router.get("", responses=documented(422))
async def list_runs(
    deps: TheDeps,
    caller: Viewer,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: Cursor = None,
    status: Annotated[RunStatus | None, Query(description="Only runs of this status.")] = None,
    pipeline: Annotated[str | None, Query(max_length=200, description="Only runs of this pipeline.")] = None,
    workspace: Annotated[str | None, Query(max_length=200, description="Only runs in this workspace.")] = None,
) -> RunPage:
    """The newest first. `total` is exact with no filter or `status` alone; with others exact up to 10,000, beyond
    that null with `total_at_least`."""
    check_paging(offset, cursor)
    chosen = RunFilter(status=status, pipeline=pipeline, workspace=workspace)
    return await deps.views.list_runs(caller.principal.org_id, chosen, limit=limit, offset=offset, cursor=cursor)


@router.get("/{run_id}", responses=documented(404, 422))
async def show(run_id: UUID, deps: TheDeps, caller: Viewer) -> RunView:
    """One run with its phases, attempts, executions, steps and requests."""
    return await deps.views.run(caller.principal.org_id, run_id)


@router.get("/{run_id}/attempts/{iteration}/{phase}/{attempt}", responses=documented(404, 422))
async def show_attempt(
    run_id: UUID, iteration: int, phase: str, attempt: int, deps: TheDeps, caller: Viewer
) -> AttemptView:
    """One attempt: its executions, steps, usage, error and artifacts. Iteration 0 is outside the loop."""
    run = await deps.views.run(caller.principal.org_id, run_id)
    for each in (each for group in run.phases for each in group.attempts):
        if (each.iteration, each.phase, each.attempt) == (iteration, phase, attempt):
            return each
    raise NotFound(
        f"Run {run_id} has no attempt {attempt} of phase `{phase[:100]}` in iteration {iteration}.",
        hint=f"GET /runs/{run_id} lists them.",
    )


@router.post("/{run_id}/cancel", status_code=status.HTTP_202_ACCEPTED, responses=documented(403, 404, 409, 413, 422))
async def cancel(
    run_id: UUID, body: CancelBody, deps: TheDeps, caller: Operator, idempotency_key: IdempotencyKey = None
) -> Accepted:
    """Asks the run to end; what runs now is dead within 3 s of the worker seeing it."""
    recorded = await deps.requests.cancel_run(
        caller.principal.org_id,
        run_id,
        actor=caller.principal.actor,
        reason=body.reason,
        idempotency_key=idempotency_key,
    )
    deps.wake_relay()
    return Accepted(
        run_id=run_id,
        request_id=recorded.request_id,
        page=f"/ui/runs/{run_id}",
        repeated=recorded.repeated,
    )
