"""/ui/runs: which run?"""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from api.deps import TheDeps, Viewer
from api.paging import Cursor, check_paging
from api.web.pages.context import signed_in_page
from api.web.render import render
from domain.runs.views import RunFilter
from domain.runs.words import RunStatus

router = APIRouter()

PAGE_SIZE = 50

Status = Annotated[RunStatus | None, Query()]
Text = Annotated[str | None, Query(max_length=200)]


def list_address(chosen: RunFilter, **more: str | int | None) -> str:
    """The list with these filters: everything that is chosen lives in the address."""
    given = {**chosen.model_dump(mode="json"), **more}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return f"/ui/runs?{query}" if query else "/ui/runs"


@router.get("/ui/runs")
async def run_list(
    deps: TheDeps,
    caller: Viewer,
    status: Status = None,
    pipeline: Text = None,
    workspace: Text = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    check_paging(0, cursor)
    chosen = RunFilter(status=status, pipeline=pipeline, workspace=workspace)
    found = await deps.views.list_runs(caller.principal.org_id, chosen, limit=PAGE_SIZE, cursor=cursor)
    return signed_in_page(
        "runs.html",
        caller,
        "/ui/runs",
        found=found,
        chosen=chosen,
        cursor=cursor,
        statuses=list(RunStatus),
        address=list_address,
        with_status=lambda status: list_address(chosen.model_copy(update={"status": status})),
    )


@router.get("/ui/runs/newer")
async def newer(
    deps: TheDeps, caller: Viewer, top: str = "", status: Status = None, pipeline: Text = None, workspace: Text = None
) -> HTMLResponse:
    """Says whether the list has newer rows than the one on top; the page does not jump by itself."""
    chosen = RunFilter(status=status, pipeline=pipeline, workspace=workspace)
    found = await deps.views.list_runs(caller.principal.org_id, chosen, limit=PAGE_SIZE)
    ids = [str(run.id) for run in found.runs]
    number = ids.index(top) if top in ids else len(ids)
    return HTMLResponse(render("_newer.html", {"number": number, "address": list_address(chosen)}))
