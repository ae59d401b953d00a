"""Anthropic's messages API; the wire format is pydantic-ai's."""

import json
from functools import lru_cache
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from anthropic.types.beta import BetaMessage
from pydantic import ValidationError
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider as WireProvider

from adapters.providers.conversation import wire_messages, wire_parameters
from adapters.providers.credentials import credential
from adapters.providers.prices import ANTHROPIC_URL
from adapters.providers.replies import reply_of
from adapters.providers.wire import exchange
from adapters.providers.wire_errors import FOREIGN, from_exception
from domain.models.messages import CallRefused, ModelReply, ModelRequest, TokenUsage
from domain.models.policy import ProviderSettings
from domain.secrets import SecretResolver

API_VERSION = "2023-06-01"
"""`anthropic-version` of every request."""

_PLACEHOLDER_KEY = "put in as the request leaves (adapters/providers/wire.py)"


class AnthropicProvider:
    """ModelProvider of ProviderKind.ANTHROPIC. `client` comes from adapters.providers.wire.http_client."""

    def __init__(self, *, client: httpx2.AsyncClient, secrets: SecretResolver) -> None:
        self._client = client
        self._secrets = secrets

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        what = f"{settings.name}:{request.model}"
        headers = {"anthropic-version": API_VERSION}
        if settings.credential is not None:
            headers["x-api-key"] = credential(self._secrets, settings.credential, what)
        refused: CallRefused | None = None
        with exchange(headers) as seen:
            try:
                model = _model(self._client, messages_url(settings), request.model)
                response = await model_request(
                    model,
                    wire_messages(request),
                    model_settings=_settings(request),
                    model_request_parameters=wire_parameters(
                        request, native_schema=model.profile.get("supports_json_schema_output", False)
                    ),
                )
            except FOREIGN as error:
                refused = from_exception(error, what, seen)
            except AttributeError as error:  # the SDK looks into a body that may be no object
                if seen.body is None:
                    raise
                refused = from_exception(error, what, seen)
        if refused is not None:
            raise refused
        return reply_of(response, usage_of(json.loads(seen.body or "{}").get("usage")), seen, what, request)


def messages_url(settings: ProviderSettings) -> str:
    """The address that `/v1/messages` is put behind; one that ends in `/v1` means the same."""
    return (settings.base_url or ANTHROPIC_URL).rstrip("/").removesuffix("/v1")


class _MessagesModel(AnthropicModel):
    """The SDK does not look at what came; a response that is not the format is said to be so here. Usage is read from
    the body by us."""

    def _process_response(self, response: Any, *args: Any, **more: Any) -> ModelResponse:
        problem = "expected a JSON object"
        if isinstance(response, BetaMessage):
            whole = response.model_dump(mode="json", warnings=False) | {
                "usage": {"input_tokens": 0, "output_tokens": 0}
            }
            try:
                return super()._process_response(BetaMessage.model_validate(whole), *args, **more)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                problem = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        raise UnexpectedModelBehavior(f"not a message: {problem}")


@lru_cache(maxsize=256)
def _model(client: httpx2.AsyncClient, base_url: str, name: str) -> AnthropicModel:
    """Holds no credential, so one serves every organization."""
    sdk = AsyncAnthropic(base_url=base_url, api_key=_PLACEHOLDER_KEY, http_client=client, max_retries=0)
    return _MessagesModel(name, provider=WireProvider(anthropic_client=sdk))


def _settings(request: ModelRequest) -> AnthropicModelSettings:
    """A conversation with tools comes again with each turn: what it has in common with the last one is cached."""
    settings = AnthropicModelSettings(max_tokens=request.max_output_tokens, timeout=request.timeout_seconds)
    if request.tools:
        settings["anthropic_cache"] = True
    return settings


def usage_of(usage: object) -> TokenUsage:
    """Anthropic's `usage` object. Its `input_tokens` leave out what was read from the cache or written to it."""
    if not isinstance(usage, dict):
        return TokenUsage()
    fresh, read, written = (
        _count(usage.get(name)) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    return TokenUsage(
        tokens_in=None if fresh is None else fresh + (read or 0) + (written or 0),
        tokens_out=_count(usage.get("output_tokens")),
        tokens_cached=read,
        tokens_cache_written=written,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
