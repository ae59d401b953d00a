"""What the API answers to a start or a cancel (api/schemas.py), as far as commands need it."""

from uuid import UUID

from domain.base import Frozen
from domain.runs.words import RequestStatus


class Accepted(Frozen):
    """Recorded; it reaches the run also when no worker is up now."""

    run_id: UUID
    request_id: UUID
    status: RequestStatus = RequestStatus.RECORDED
    page: str = ""
    repeated: bool = False
    warnings: tuple[str, ...] = ()
