"""A record with one organization, one pipeline and one workspace, on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest_asyncio

from adapters.store.database import open_database
from tests.adapters.store.record import Record
from tests.support.databases import Database as Urls


@pytest_asyncio.fixture
async def record(database: Urls) -> AsyncIterator[Record]:
    async with open_database(database.app_url, max_connections=24) as opened:
        yield await Record.make(opened, database)
