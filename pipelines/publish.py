"""Puts the shipped pipelines into an organization's catalogue."""

import asyncio
from functools import cache
from typing import Protocol
from uuid import UUID

from domain.pipelines.spec import Pipeline
from pipelines import shipped
from pipelines.load import load_pipeline


class Catalogue(Protocol):
    async def pipeline(self, org_id: UUID, name: str) -> Pipeline | None: ...

    async def publish(self, org_id: UUID, pipeline: Pipeline) -> None: ...


async def publish_shipped(catalogue: Catalogue, org_id: UUID) -> None:
    """Each version once. A version that is known already is left where it is, so that an organization's own pipeline
    of the same name stays the newest."""
    for pipeline in await asyncio.to_thread(_load):
        if await catalogue.pipeline(org_id, f"{pipeline.name}@{pipeline.content_hash}") is None:
            await catalogue.publish(org_id, pipeline)


@cache
def _load() -> tuple[Pipeline, ...]:
    return tuple(load_pipeline(file) for file in shipped().values())
