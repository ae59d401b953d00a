"""Every provider kind and its adapter: the one list that the composition root and the contract tests read.

The libraries that speak to providers take longer to load than all else of a worker: they are loaded, beside the event
loop, with the first call that needs them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from adapters.providers.scripted import ScriptedProvider
from adapters.providers.wire import http_client
from domain.models.messages import ModelReply, ModelRequest
from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.ports import ModelProvider
from domain.secrets import SecretResolver


@asynccontextmanager
async def open_providers(
    *, scripts: Path, secrets: SecretResolver
) -> AsyncIterator[Mapping[ProviderKind, ModelProvider]]:
    """One adapter per kind; their connections close at the end. `scripts`: the folder of shipped scripts; `secrets`
    resolves a credential at each call."""
    async with http_client() as client:
        yield {
            ProviderKind.SCRIPTED: ScriptedProvider(scripts),
            ProviderKind.OPENAI_COMPATIBLE: _Later(lambda: _openai_compatible(client, secrets)),
            ProviderKind.ANTHROPIC: _Later(lambda: _anthropic(client, secrets)),
        }


class _Later:
    """ModelProvider that is made with its first call."""

    def __init__(self, make: Callable[[], ModelProvider]) -> None:
        self._make = make
        self._made: ModelProvider | None = None
        self._making = asyncio.Lock()

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
        return await self._made.call(request, settings)


def _openai_compatible(client: httpx2.AsyncClient, secrets: SecretResolver) -> ModelProvider:
    from adapters.providers.openai_compatible import OpenAICompatibleProvider

    return OpenAICompatibleProvider(client=client, secrets=secrets)


def _anthropic(client: httpx2.AsyncClient, secrets: SecretResolver) -> ModelProvider:
    from adapters.providers.anthropic import AnthropicProvider

    return AnthropicProvider(client=client, secrets=secrets)
