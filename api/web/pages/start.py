"""/ui/runs/new: a form that starts a run, with every refusal shown at its field."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from starlette.responses import Response

from api.deps import Deps, Operator, SignedIn, TheDeps
from api.errors import field_name
from api.schemas import StartBody
from api.starting import start_run
from api.web.pages.context import signed_in_page
from domain.errors import InvalidInput

router = APIRouter()

FIELDS = {
    "task": "task",
    "task.change": "task",
    "repo": "repo",
    "workspace": "repo",
    "pipeline": "pipeline",
    "settings.test_command": "test_command",
    "settings.model": "model",
}
"""Field of the API's body -> field of the form."""

Short = Annotated[str, Form(max_length=10_000)]


@router.get("/ui/runs/new")
async def form(deps: TheDeps, caller: Operator, repo: str = "") -> Response:
    return await _form(deps, caller, {"repo": repo})


async def _form(deps: Deps, caller: SignedIn, given: dict[str, str], problem: InvalidInput | None = None) -> Response:
    org_id = caller.principal.org_id
    return signed_in_page(
        "start.html",
        caller,
        "/ui/runs",
        status=422 if problem else 200,
        given={"pipeline": "code-change", **given},
        problem=problem,
        wrong=FIELDS.get(problem.field or "", "") if problem else "",
        pipelines=await deps.catalogue.pipelines(org_id),
        workspaces=await deps.catalogue.workspaces(org_id),
        key=given.get("idempotency_key") or f"page-{uuid4()}",
    )


@router.post("/ui/runs/new")
async def start(
    deps: TheDeps,
    caller: Operator,
    task: Annotated[str, Form(max_length=200_000)] = "",
    repo: Short = "",
    pipeline: Short = "code-change",
    model: Short = "",
    test_command: Short = "",
    idempotency_key: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    given = {"task": task, "repo": repo, "pipeline": pipeline, "model": model, "test_command": test_command}
    settings = {"model": model.strip() or None, "test_command": test_command.strip() or None}
    # Browsers send CRLF; the task is the same text with line feeds.
    body = {
        "task": task.replace("\r\n", "\n"),
        "repo": repo.strip() or None,
        "pipeline": pipeline,
        "settings": settings,
    }
    try:
        accepted = await start_run(deps, caller.principal, StartBody.model_validate(body), idempotency_key or None)
    except ValidationError as error:
        first = error.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        problem = InvalidInput(told, hint="Correct it, then start again.", field=field_name(first["loc"]))
        return await _form(deps, caller, given, problem)
    except InvalidInput as error:
        return await _form(deps, caller, given, error)
    return RedirectResponse(accepted.page, status_code=303)
