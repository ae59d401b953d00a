"""The shipped pipelines are known to every organization before its first run, also one started by hand."""

import asyncio

import structlog

from adapters.store.catalogue import PostgresCatalogue
from domain.errors import Unavailable
from pipelines.publish import publish_shipped

PERIOD_SECONDS = 60.0
"""Organizations come later, too."""
RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class ShippedPipelines:
    def __init__(self, catalogue: PostgresCatalogue) -> None:
        self._catalogue = catalogue

    async def run(self) -> None:
        """Until cancelled. A database that is away is waited for."""
        while True:
            try:
                for org_id in await self._catalogue.organizations():
                    await publish_shipped(self._catalogue, org_id)
            except Unavailable as error:
                log.warning("shipped.waiting", error=error.message)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(PERIOD_SECONDS)
