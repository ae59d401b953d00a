"""GET /metrics, for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import Response

from api.deps import TheDeps, Viewer
from api.exposition import CONTENT_TYPE, exposition
from api.problems import documented

router = APIRouter(tags=["operations"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}, **documented()},
)
async def metrics(deps: TheDeps, caller: Viewer) -> Response:
    """Runs by status, permits, failures by phase and kind, latency histograms, the relay's backlog, workers. From
    committed rows over all organizations: labels are closed words and the names of the most failing phases."""
    return Response(exposition(await deps.views.metrics()), media_type=CONTENT_TYPE)
