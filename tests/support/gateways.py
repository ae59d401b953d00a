"""The gateway as the worker serves it, over a real database, with one organization whose providers a test names."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from activities.gateway.gateway import Gateway
from adapters.providers.forwarding import open_forwarding
from adapters.providers.registry import open_providers
from adapters.secrets.redactor import SecretRedactor
from adapters.secrets.references import SecretResolver
from adapters.store.database import open_database
from domain.gateway.ports import GatewayAccess, GatewayGrant
from domain.models.policy import Policy, ProviderKind, ProviderSettings
from tests.support.call_rows import Rows
from tests.support.databases import Database
from tests.support.model_calls import PLANTED, Calling, calling
from worker.gateway import open_gateway

KEY = PLANTED
"""The provider's key, which must be found nowhere but at the provider."""


def openai_at(url: str, **more: Any) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {
            "name": "openai",
            "kind": ProviderKind.OPENAI_COMPATIBLE,
            "base_url": f"{url}/v1",
            "credential": "env:KEY",
            "speaks_responses": True,
            "price_in_usd_per_million": Decimal(2),
            "price_out_usd_per_million": Decimal(10),
        }
        | more
    )


def anthropic_at(url: str, **more: Any) -> ProviderSettings:
    return openai_at(url, **({"name": "anthropic", "kind": ProviderKind.ANTHROPIC, "base_url": url} | more))


@dataclass
class Served:
    gateway: Gateway
    calling: Calling
    rows: Rows
    org: UUID
    database: Database

    def grant(self, model: str, **more: Any) -> GatewayGrant:
        run, attempt, execution = self.rows.execution(self.org)
        ids = {"org_id": self.org, "run_id": run, "attempt_id": attempt, "execution_id": execution}
        return GatewayGrant.model_validate({"role": "coder", "model": model, **ids, **more})

    @asynccontextmanager
    async def access(self, model: str, **more: Any) -> AsyncIterator[GatewayAccess]:
        async with self.gateway.granted(self.grant(model, **more)) as access:
            yield access

    @contextmanager
    def steps_locked(self) -> Iterator[None]:
        """Nobody can end a step meanwhile."""
        with psycopg.connect(self.database.admin_url) as connection:
            connection.execute("SELECT 1 FROM step WHERE org_id = %s FOR UPDATE", (self.org,))
            yield

    def steps(self, *columns: str) -> list[Any]:
        return self.rows.run(
            f"SELECT {', '.join(columns)} FROM step WHERE org_id = %s ORDER BY started_at, key", self.org
        )


@asynccontextmanager
async def served(
    database: Database,
    *providers: ProviderSettings,
    scripts: Path,
    environment: Mapping[str, str] | None = None,
    connections: int = 8,
    **policy: Any,
) -> AsyncIterator[Served]:
    rows = Rows(database)
    redactor = SecretRedactor()
    secrets = SecretResolver(environment or {"KEY": KEY}, redactor)
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_database(database.app_url, max_connections=connections))
        adapters = await stack.enter_async_context(open_providers(scripts=scripts, secrets=secrets))
        forwarding = await stack.enter_async_context(
            open_forwarding(secrets=secrets, redactor=redactor, providers=adapters)
        )
        calls = calling(opened.pool, adapters, redactor=redactor)
        gateway = await stack.enter_async_context(open_gateway(port=0, calls=calls.calls, forwarding=forwarding))
        org = rows.organization(Policy.model_validate({"version": 1, "providers": providers, **policy}))
        yield Served(gateway, calls, rows, org, database)
