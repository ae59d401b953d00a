from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.stack.temporal import TemporalServer
from tests.support.databases import Database
from tests.workflows.agents_external.works import path_with_fakes
from tests.workflows.world import World, world


@pytest.fixture
async def fakes(database: Database, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[World]:
    """An engine that finds the four fakes, and whose environment holds keys of providers."""
    environment = path_with_fakes(tmp_path / "bin")
    async with world(database, temporal_server.address, tmp_path, environment=environment) as made:
        yield made
