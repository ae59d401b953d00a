"""Forwarding of clients' calls: passed on where the provider speaks the client's format, else translated."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2

from adapters.providers.passed_on import PassedOn
from adapters.providers.translated_call import TranslatedCall
from adapters.providers.upstreams import upstream
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
        return _OneCall(
            PassedOn(asked, answer, client=self._client, secrets=self._secrets, redactor=self._redactor),
            TranslatedCall(asked, answer, providers=self._providers, redactor=self._redactor),
            asked,
        )


class _OneCall:
    """ModelProvider of one client's call. Which way it goes is known when the policy has named the provider."""

    def __init__(self, passed_on: PassedOn, translated: TranslatedCall, asked: WireRequest) -> None:
        self._passed_on = passed_on
        self._translated = translated
        self._asked = asked

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        to = upstream(settings, self._asked.format)
        if to is None:
            return await self._translated.call(request, settings)
        return await self._passed_on.call(request, settings, to)
