"""/ui: what needs me now? Waiting, failed, running: each a number that leads to its list, with the newest below."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from api.deps import TheDeps, Viewer
from api.web.pages.context import signed_in_page
from domain.runs.views import RunFilter
from domain.runs.words import RunStatus

router = APIRouter()

SHOWN = (RunStatus.FAILED, RunStatus.WAITING, RunStatus.RUNNING, RunStatus.QUEUED)
NEWEST = 5


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/ui", status_code=307)


@router.get("/ui")
async def now(deps: TheDeps, caller: Viewer) -> HTMLResponse:
    org_id = caller.principal.org_id
    pages = {each: await deps.views.list_runs(org_id, RunFilter(status=each), limit=NEWEST) for each in SHOWN}
    done = await deps.views.list_runs(org_id, RunFilter(status=RunStatus.SUCCEEDED), limit=1)
    return signed_in_page("now.html", caller, "/ui", pages=pages, done=done.total, RunStatus=RunStatus)
