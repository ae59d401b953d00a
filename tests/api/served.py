"""The API as production wires it, on a real PostgreSQL; without a Temporal unless one is given."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from fastapi import FastAPI

from adapters.store.database import Database, open_database
from api.app import create_app
from api.deps import Deps
from api.settings import ApiSettings
from api.wiring import wired
from tests.api.people import Organization, make_organization
from tests.support.databases import Database as Urls

ADDRESS = "http://127.0.0.1:8642"


@dataclass
class Served:
    """One running application with two organizations in its record."""

    app: FastAPI
    deps: Deps
    client: httpx.AsyncClient
    database: Database
    ours: Organization
    theirs: Organization
    folder: Path

    def browser(self) -> httpx.AsyncClient:
        """A client with its own cookies, as a browser has."""
        return new_client(self.app)


def new_client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=ADDRESS)


@asynccontextmanager
async def served(urls: Urls, folder: Path) -> AsyncIterator[Served]:
    settings = ApiSettings(database_url=urls.app_url, state_dir=folder)
    async with (
        wired(settings) as deps,
        open_database(urls.app_url, max_connections=4) as database,
    ):
        # Tests must not deliver to a Temporal that happens to run on this machine.
        apart = {name: work for name, work in deps.background.items() if name != "relay"}
        app = create_app(replace(deps, background=apart))
        ours, theirs = await make_organization(database, "default"), await make_organization(database, "other")
        async with new_client(app) as client:
            yield Served(app, deps, client, database, ours, theirs, folder)


def make_repository(folder: Path) -> Path:
    """A git repository with one commit."""
    folder.mkdir(parents=True)
    (folder / "adder.py").write_text("def add(a, b):\n    return a - b\n")
    for line in _COMMANDS:
        subprocess.run(["git", *line], cwd=folder, check=True, capture_output=True)
    return folder


_COMMANDS = (
    ("init", "-q", "-b", "main"),
    ("add", "."),
    ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid", "commit", "-qm", "First"),
)
