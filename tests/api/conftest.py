"""The application on a database of its own, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.store.wakeups import Notifier
from tests.api.recorded import Recorder
from tests.api.served import Served, make_repository, served
from tests.support.databases import Database


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path / "state") as running:
        yield running


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "sample")


@pytest.fixture
def recorder(api: Served) -> Recorder:
    """Writes runs of our organization as a worker would."""
    return Recorder(api.database, api.ours, Notifier(api.database))
