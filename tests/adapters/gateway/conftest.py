"""A gateway over a real database, a provider on a real socket, and a plain client."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.databases import Database
from tests.support.gateways import Served, anthropic_at, openai_at, served
from tests.support.raw_upstream import RawUpstream, raw_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with raw_upstream() as upstream:
        yield upstream


@pytest.fixture
async def serving(upstream: RawUpstream, module_database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    """Both formats lead to `upstream`."""
    providers = (openai_at(upstream.base_url), anthropic_at(upstream.base_url))
    async with served(module_database, *providers, scripts=tmp_path) as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client
