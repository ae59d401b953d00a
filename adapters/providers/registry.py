"""Every provider kind and its adapter: the one list that the composition root and the contract tests read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.providers.anthropic import AnthropicProvider
from adapters.providers.openai_compatible import OpenAICompatibleProvider
from adapters.providers.scripted import ScriptedProvider
from adapters.providers.wire import http_client
from domain.models.policy import ProviderKind
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
            ProviderKind.OPENAI_COMPATIBLE: OpenAICompatibleProvider(client=client, secrets=secrets),
            ProviderKind.ANTHROPIC: AnthropicProvider(client=client, secrets=secrets),
        }
