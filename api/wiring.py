"""The composition root of the API: every port gets its adapter here, for production and tests alike."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.artifacts.store import ObjectArtifactStore
from adapters.failpoints import failpoints
from adapters.store.catalogue import PostgresCatalogue
from adapters.store.database import open_database
from adapters.store.identity import PostgresAccounts
from adapters.store.reconcile import PostgresOpenRuns
from adapters.store.relay import PostgresOutbox
from adapters.store.requests import PostgresRequests
from adapters.store.runs import PostgresRunLedger
from adapters.store.upkeep import Upkeep
from adapters.store.views import PostgresViews
from adapters.store.wakeups import Notifier, PostgresWakeups
from adapters.workspace.workspaces import GitWorkspaces
from api.delivery import Delivery
from api.deps import Deps
from api.disk_check import disk_check
from api.live import Stream
from api.readiness import Check, Readiness
from api.schema_check import schema_check
from api.security.login_limit import LoginLimit
from api.settings import ApiSettings
from api.shipped import ShippedPipelines

CONNECTIONS = 20


@asynccontextmanager
async def wired(settings: ApiSettings) -> AsyncIterator[Deps]:
    """Opens the record; waits for nothing: what is away is told by the first call that needs it."""
    name = f"millwright api {socket.gethostname()}:{os.getpid()}"
    async with open_database(settings.database_url, max_connections=CONNECTIONS, name=name) as database:
        notifier = Notifier(database)
        wakeups = PostgresWakeups(settings.database_url)
        views = PostgresViews(database)
        artifacts = ObjectArtifactStore(settings.artifacts)
        delivery = Delivery(
            outbox=PostgresOutbox(database),
            open_runs=PostgresOpenRuns(database, name),
            ledger=PostgresRunLedger(database, notifier.mark),
            failpoints=failpoints(settings.failpoints),
        )
        yield Deps(
            settings=settings,
            accounts=PostgresAccounts(database),
            views=views,
            requests=PostgresRequests(database, notifier.mark),
            catalogue=ShippedPipelines(PostgresCatalogue(database)),
            artifacts=artifacts,
            workspaces=GitWorkspaces(settings.state_dir / "workspaces"),
            stream=Stream(views=views, artifacts=artifacts, wakeups=wakeups, stopping=asyncio.Event()),
            readiness=Readiness({"PostgreSQL": schema_check(database), "Temporal": delivery.check, **_disks(settings)}),
            login_limit=LoginLimit(),
            background={
                "notifier": notifier.run,
                "wakeups": wakeups.run,
                "relay": delivery.run,
                "upkeep": Upkeep(database).run,
            },
            wake_relay=delivery.wake,
        )


def _disks(settings: ApiSettings) -> dict[str, Check]:
    found = {"disk": disk_check(settings.state_dir)}
    if settings.postgres_data_dir is not None:
        found["disk of PostgreSQL"] = disk_check(settings.postgres_data_dir)
    return found
