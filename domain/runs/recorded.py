"""What a caller of the API gets back once its request is recorded."""

from uuid import UUID

from domain.base import Frozen


class RecordedRun(Frozen):
    run_id: UUID
    request_id: UUID
    repeated: bool = False
    """True: recorded before under the same idempotency key."""


class RecordedCancel(Frozen):
    run_id: UUID
    request_id: UUID
    repeated: bool = False
    """True: a cancel of this run was under way already."""
