"""What an organization has: pipelines and workspaces."""

from collections.abc import Mapping

from fastapi import APIRouter, Response, status

from api.deps import Admin, TheDeps, Viewer
from api.problems import documented
from api.publishing import read_pipeline
from api.schemas import PipelineSummary, PublishBody, WorkspacePatch
from domain.agents.mcp_servers import check_servers
from domain.errors import Forbidden, NotFound
from domain.models.policy import Policy, check
from domain.pipelines.spec import Pipeline
from domain.runs.failure import PhaseError
from domain.runs.ports import WorkspaceFacts

router = APIRouter(prefix="/api/v1", tags=["setup"])


@router.get("/pipelines", responses=documented())
async def list_pipelines(deps: TheDeps, caller: Viewer) -> tuple[PipelineSummary, ...]:
    """The newest version of each pipeline that a run may name, the shipped ones included."""
    return tuple(_summary(each) for each in await deps.catalogue.pipelines(caller.principal.org_id))


@router.post("/pipelines", status_code=status.HTTP_201_CREATED, responses=documented(403, 413, 422))
async def publish_pipeline(body: PublishBody, deps: TheDeps, caller: Admin, response: Response) -> PipelineSummary:
    """Checks a document and makes it the newest version of its name. The same content again changes nothing, so
    that no Idempotency-Key is needed."""
    pipeline = read_pipeline(body.yaml, body.prompts, field="yaml")
    await deps.catalogue.publish(caller.principal.org_id, pipeline)
    response.headers["Location"] = "/api/v1/pipelines"
    return _summary(pipeline)


@router.get("/workspaces", responses=documented())
async def list_workspaces(deps: TheDeps, caller: Viewer) -> tuple[WorkspaceFacts, ...]:
    """The repositories that runs have named."""
    return tuple(await deps.catalogue.workspaces(caller.principal.org_id))


@router.get("/workspaces/{name}", responses=documented(404, 422))
async def show_workspace(name: str, deps: TheDeps, caller: Viewer) -> WorkspaceFacts:
    """One of them, by name or id: its commands, its environment, its models and its servers of tools."""
    return _known(await deps.catalogue.workspace_named(caller.principal.org_id, name), name)


@router.patch("/workspaces/{name}", responses=documented(403, 404, 413, 422))
async def change_workspace(name: str, body: WorkspacePatch, deps: TheDeps, caller: Admin) -> WorkspaceFacts:
    """Changes what is given, for runs that start afterwards. The same change again changes nothing, so that no
    Idempotency-Key is needed. A server's command is run by workers, in the sandbox: this needs an admin."""
    org_id = caller.principal.org_id
    if body.mcp_servers is not None:
        check_servers(body.mcp_servers)
    if body.models is not None:
        _check_models(body.models, await deps.catalogue.policy(org_id))
    found = _known(await deps.catalogue.workspace_named(org_id, name), name)
    if body.mcp_servers is not None:
        found = _known(await deps.catalogue.set_mcp_servers(org_id, name, body.mcp_servers), name)
    if body.models is not None:
        found = _known(await deps.catalogue.set_models(org_id, name, body.models), name)
    return found


def _check_models(models: Mapping[str, str], policy: Policy) -> None:
    for key, model in models.items():
        verdict = check(policy, model)
        if isinstance(verdict, PhaseError):
            raise Forbidden(verdict.message, hint=verdict.hint, field=f"models.{key}")


def _known(found: WorkspaceFacts | None, name: str) -> WorkspaceFacts:
    if found is None:
        raise NotFound(
            f"There is no workspace `{name}`.",
            hint="The first run on a repository makes its workspace; `GET /api/v1/workspaces` lists them.",
            field="name",
        )
    return found


def _summary(pipeline: Pipeline) -> PipelineSummary:
    return PipelineSummary(
        name=pipeline.name,
        content_hash=pipeline.content_hash,
        description=pipeline.description,
        phases=tuple(phase.name for phase in pipeline.all_phases),
    )
