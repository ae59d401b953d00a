"""Bodies that a run made: output, diffs, replies. Always as plain text: they were written by models and commands."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi.responses import Response, StreamingResponse

from api.deps import TheDeps, Viewer
from api.problems import documented
from domain.errors import NotFound
from domain.runs.ports import ArtifactRef
from domain.runs.views import RunView

router = APIRouter(prefix="/runs", tags=["runs"])

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the body, as the attempt lists it.")]


@router.get(
    "/{run_id}/artifacts/{sha256}",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The body."}, **documented(404, 422)},
)
async def download(run_id: UUID, sha256: Sha256, deps: TheDeps, caller: Viewer) -> Response:
    """One body of this run, whole."""
    org_id = caller.principal.org_id
    found = artifact_of(await deps.views.run(org_id, run_id), sha256)
    return StreamingResponse(
        deps.artifacts.stream(org_id, found.sha256),
        media_type="text/plain; charset=utf-8",
        headers={"Content-Length": str(found.size_bytes), "Content-Disposition": 'inline; filename="artifact.txt"'},
    )


def artifact_of(run: RunView, sha256: str) -> ArtifactRef:
    """Raises NotFound: a body of another run is none of this one's, also when the content is the same."""
    for phase in run.phases:
        for attempt in phase.attempts:
            for artifact in attempt.artifacts:
                if artifact.sha256 == sha256:
                    return artifact
    raise NotFound(f"Run {run.id} has no artifact {sha256[:12]}.", hint=f"GET /runs/{run.id} lists them.")
