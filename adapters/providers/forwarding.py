"""Forwarding of clients' calls: passed on where the provider speaks the client's format, else translated."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache

import httpx2

from domain.gateway.wire import WireAnswer, WireRequest
from domain.models.messages import ModelReply, ModelRequest
from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.ports import ModelProvider
from domain.redaction import Redactor
from domain.secrets import SecretResolver

_CONNECTIONS = 1_000
"""The policy's limits decide, not the client."""
_KEPT_ALIVE = 50


@asynccontextmanager
async def open_forwarding(
    *, secrets: SecretResolver, redactor: Redactor, providers: Mapping[ProviderKind, ModelProvider]
) -> AsyncIterator["WireForwarding"]:
    """Its client sends requests as they are given to it: of the environment only proxies and certificates count, and
    no redirect is followed. `providers`: the adapters that translated calls go through."""
    async with httpx2.AsyncClient(
        limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_KEPT_ALIVE),
        follow_redirects=False,
    ) as client:
        yield WireForwarding(client=client, secrets=secrets, redactor=redactor, providers=providers)


class WireForwarding:
    """domain.gateway.wire.Forwarding."""

    def __init__(
        self,
        *,
        client: httpx2.AsyncClient,
        secrets: SecretResolver,
        redactor: Redactor,
        providers: Mapping[ProviderKind, ModelProvider],
    ) -> None:
        self._client = client
        self._secrets = secrets
        self._redactor = redactor
        self._providers = providers

    def provider(self, asked: WireRequest, answer: WireAnswer) -> ModelProvider:
        return _OneCall(self, asked, answer)

    async def call(
        self, asked: WireRequest, answer: WireAnswer, request: ModelRequest, settings: ProviderSettings
    ) -> ModelReply:
        """Which way it goes is known when the policy has named the provider. The first call loads the libraries that
        speak to providers, beside the event loop."""
        if not _load.cache_info().currsize:
            await asyncio.to_thread(_load)
        from adapters.providers.passed_on import PassedOn
        from adapters.providers.translated_call import TranslatedCall
        from adapters.providers.upstreams import upstream

        to = upstream(settings, asked.format)
        if to is None:
            translated = TranslatedCall(asked, answer, providers=self._providers, redactor=self._redactor)
            return await translated.call(request, settings)
        passed_on = PassedOn(asked, answer, client=self._client, secrets=self._secrets, redactor=self._redactor)
        return await passed_on.call(request, settings, to)


@cache
def _load() -> None:
    import adapters.providers.passed_on
    import adapters.providers.translated_call  # noqa: F401


class _OneCall:
    """ModelProvider of one client's call."""

    def __init__(self, forwarding: WireForwarding, asked: WireRequest, answer: WireAnswer) -> None:
        self._forwarding = forwarding
        self._asked = asked
        self._answer = answer

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        return await self._forwarding.call(self._asked, self._answer, request, settings)
