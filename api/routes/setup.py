"""What an organization has: pipelines and workspaces."""

from fastapi import APIRouter, Response, status

from api.deps import Admin, TheDeps, Viewer
from api.problems import documented
from api.publishing import read_pipeline
from api.schemas import PipelineSummary, PublishBody
from domain.pipelines.spec import Pipeline
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
    pipeline = read_pipeline(body.yaml, body.prompts)
    await deps.catalogue.publish(caller.principal.org_id, pipeline)
    response.headers["Location"] = "/api/v1/pipelines"
    return _summary(pipeline)


@router.get("/workspaces", responses=documented())
async def list_workspaces(deps: TheDeps, caller: Viewer) -> tuple[WorkspaceFacts, ...]:
    """The repositories that runs have named."""
    return tuple(await deps.catalogue.workspaces(caller.principal.org_id))


def _summary(pipeline: Pipeline) -> PipelineSummary:
    return PipelineSummary(
        name=pipeline.name,
        content_hash=pipeline.content_hash,
        description=pipeline.description,
        phases=tuple(phase.name for phase in pipeline.all_phases),
    )
