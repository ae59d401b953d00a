"""For supervisors and load balancers: is the process up, and can it do its work."""

from fastapi import APIRouter, Response, status
from pydantic import BaseModel

from api.deps import TheDeps
from api.readiness import ReadinessReport

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: str = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """The process is up. Says nothing of what it needs; /readyz does."""
    return Health()


@router.get("/readyz", responses={503: {"model": ReadinessReport, "description": "Something is missing; named."}})
async def readyz(deps: TheDeps, response: Response) -> ReadinessReport:
    """PostgreSQL, its schema and Temporal answer."""
    report = await deps.readiness.report()
    if not report.ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return report
