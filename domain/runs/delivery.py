"""The relay's and the reconciler's view of the record: system work, over all organizations."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from domain.base import Frozen
from domain.runs.words import RequestKind


class Delivery(Frozen):
    """One recorded request that Temporal does not have yet."""

    outbox_id: int
    request_id: UUID
    org_id: UUID
    run_id: UUID
    workflow_id: str
    kind: RequestKind
    priority: int = 3


class Outbox(Protocol):
    """Claimed rows are hidden from other relays until `lease_seconds` have passed."""

    async def claim(self, *, limit: int, lease_seconds: float) -> Sequence[Delivery]:
        """Oldest first; of one run only its oldest."""
        ...

    async def sent(self, delivery: Delivery) -> None:
        """Temporal has it."""
        ...

    async def failed(self, delivery: Delivery, problem: str) -> None:
        """Tried again later, with backoff."""
        ...


class OpenRunRow(Frozen):
    """A run that its row calls unfinished."""

    org_id: UUID
    run_id: UUID
    workflow_id: str
    phase: str | None = None
    iteration: int = 0


class OpenRuns(Protocol):
    async def open_runs(self, *, quiet_seconds: float) -> Sequence[OpenRunRow]:
        """Started runs of all organizations whose row has not changed for that long."""
        ...

    async def reconciling(self) -> bool:
        """Takes (or keeps) the one reconciler's lease; False while another process has it."""
        ...
