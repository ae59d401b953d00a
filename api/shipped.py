"""The catalogue with the shipped pipelines in it: an organization has them from its first look."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from adapters.store.catalogue import PostgresCatalogue
from domain.models.policy import Policy
from domain.pipelines.spec import Pipeline
from domain.runs.messages import RunStart
from domain.runs.ports import WorkspaceFacts
from pipelines import shipped
from pipelines.load import load_pipeline


class ShippedPipelines:
    """Publishes each shipped version once. A version that is known already is left where it is, so that an
    organization's own pipeline of the same name stays the newest."""

    def __init__(self, catalogue: PostgresCatalogue) -> None:
        self._catalogue = catalogue
        self._shipped: list[Pipeline] | None = None
        self._published: set[UUID] = set()

    async def _ensure(self, org_id: UUID) -> None:
        if org_id in self._published:
            return
        if self._shipped is None:
            self._shipped = await asyncio.to_thread(_load)
        for pipeline in self._shipped:
            if await self._catalogue.pipeline(org_id, f"{pipeline.name}@{pipeline.content_hash}") is None:
                await self._catalogue.publish(org_id, pipeline)
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

    async def policy(self, org_id: UUID) -> Policy:
        return await self._catalogue.policy(org_id)


def _load() -> list[Pipeline]:
    return [load_pipeline(file) for file in shipped().values()]
