"""The catalogue with the shipped pipelines in it: an organization has them from its first look."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from adapters.store.catalogue import PostgresCatalogue
from domain.agents.tools import McpServer
from domain.models.policy import Policy
from domain.pipelines.spec import Pipeline
from domain.runs.messages import RunStart
from domain.runs.ports import WorkspaceFacts
from pipelines.publish import publish_shipped


class ShippedPipelines:
    def __init__(self, catalogue: PostgresCatalogue) -> None:
        self._catalogue = catalogue
        self._published: set[UUID] = set()

    async def _ensure(self, org_id: UUID) -> None:
        if org_id in self._published:
            return
        await publish_shipped(self._catalogue, org_id)
        self._published.add(org_id)

    async def pipelines(self, org_id: UUID) -> Sequence[Pipeline]:
        await self._ensure(org_id)
        return await self._catalogue.pipelines(org_id)

    async def pipeline(self, org_id: UUID, name: str) -> Pipeline | None:
        await self._ensure(org_id)
        return await self._catalogue.pipeline(org_id, name)

    async def publish(self, org_id: UUID, pipeline: Pipeline) -> None:
        await self._ensure(org_id)
        await self._catalogue.publish(org_id, pipeline)

    async def workspaces(self, org_id: UUID) -> Sequence[WorkspaceFacts]:
        return await self._catalogue.workspaces(org_id)

    async def workspace(self, org_id: UUID, start: RunStart) -> WorkspaceFacts | None:
        return await self._catalogue.workspace(org_id, start)

    async def workspace_named(self, org_id: UUID, name_or_id: str) -> WorkspaceFacts | None:
        return await self._catalogue.workspace_named(org_id, name_or_id)

    async def set_mcp_servers(
        self, org_id: UUID, name_or_id: str, servers: Sequence[McpServer]
    ) -> WorkspaceFacts | None:
        return await self._catalogue.set_mcp_servers(org_id, name_or_id, servers)

    async def set_models(self, org_id: UUID, name_or_id: str, models: Mapping[str, str]) -> WorkspaceFacts | None:
        return await self._catalogue.set_models(org_id, name_or_id, models)

    async def policy(self, org_id: UUID) -> Policy:
        return await self._catalogue.policy(org_id)
