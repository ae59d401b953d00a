from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.stack.temporal import TemporalServer
from tests.support.databases import Database
from tests.workflows.world import World, world


@pytest.fixture
async def engine(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    """No workflow cache: every task replays, so what is not deterministic fails here."""
    async with world(database, temporal_server.address, tmp_path) as made:
        yield made


@pytest.fixture
async def busy_engine(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    """With the workflow cache: without one, a task in flight is thrown out for the next, and many runs at once wait."""
    async with world(database, temporal_server.address, tmp_path, MILLWRIGHT_CACHED_WORKFLOWS=100) as made:
        yield made
