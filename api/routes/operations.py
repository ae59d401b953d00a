"""Who holds which permit since when, and the pools."""

from fastapi import APIRouter

from api.deps import TheDeps, Viewer
from api.problems import documented
from domain.runs.views import PoolView

router = APIRouter(prefix="/api/v1", tags=["operations"])


@router.get("/permits", responses=documented())
async def list_permits(deps: TheDeps, caller: Viewer) -> tuple[PoolView, ...]:
    """Every pool with its size and use; of your organization's permits also holder, since when and until when."""
    return tuple(await deps.views.pools(caller.principal.org_id))
