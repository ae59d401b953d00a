from collections.abc import AsyncIterator

import pytest

from cli.stack.temporal import TemporalServer
from tests.support.databases import Database
from tests.workflows.agents_external.works import path_with_fakes
from tests.workflows.world import World, world


@pytest.fixture(scope="module")
async def fakes(
    module_database: Database, temporal_server: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """An engine for all tests of a file, that finds the four fakes; its environment holds keys of providers."""
    folder = tmp_path_factory.mktemp("fakes")
    environment = path_with_fakes(folder / "bin")
    async with world(module_database, temporal_server.address, folder, environment=environment) as made:
        yield made
