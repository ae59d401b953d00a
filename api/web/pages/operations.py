"""/ui/operations: is the system well? Permits (who, since when), queue, relay, workers."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.deps import TheDeps, Viewer
from api.web.pages.context import signed_in_page
from domain.runs.views import RunFilter
from domain.runs.words import RunStatus

router = APIRouter()

DEPTHS = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING)
QUIET_SECONDS = 60.0
"""A worker that was not seen for so long is said to be quiet."""


@router.get("/ui/operations")
async def operations(deps: TheDeps, caller: Viewer) -> HTMLResponse:
    org_id = caller.principal.org_id
    depths = {each: await deps.views.list_runs(org_id, RunFilter(status=each), limit=1) for each in DEPTHS}
    snapshot = await deps.views.metrics()
    return signed_in_page(
        "operations.html",
        caller,
        "/ui/operations",
        depths=depths,
        pools=await deps.views.pools(org_id),
        undelivered=snapshot.undelivered_requests,
        workers=snapshot.workers,
        readiness=await deps.readiness.report(),
        quiet_seconds=QUIET_SECONDS,
    )
