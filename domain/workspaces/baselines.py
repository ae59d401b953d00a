"""The port of baselines: one per workspace, base tree, and key of command and set-up."""

from typing import Protocol
from uuid import UUID

from domain.runs.baseline import Baseline


class BaselineRecord(Protocol):
    async def find(self, org_id: UUID, workspace_id: UUID, base_tree: str, key: str) -> Baseline | None: ...

    async def keep(self, org_id: UUID, workspace_id: UUID, base_tree: str, key: str, baseline: Baseline) -> None:
        """Idempotent; the first one stays."""
        ...
