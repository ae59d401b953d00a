"""Any endpoint that speaks OpenAI's chat completions; the wire format is pydantic-ai's."""

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import httpx2
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion
from pydantic_ai.direct import model_request
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

from adapters.providers.conversation import wire_messages, wire_parameters
from adapters.providers.credentials import credential
from adapters.providers.prices import OPENAI_URL
from adapters.providers.replies import reply_of
from adapters.providers.wire import exchange
from adapters.providers.wire_errors import FOREIGN, from_exception
from domain.models.messages import CallRefused, ModelReply, ModelRequest, TokenUsage
from domain.models.policy import ProviderSettings
from domain.secrets import SecretResolver

ROLE_HEADER = "x-millwright-role"
TURN_HEADER = "x-millwright-turn"
ITERATION_HEADER = "x-millwright-iteration"
"""Who speaks, and for which time: what the scripted server matches by."""

_PLACEHOLDER_KEY = "put in as the request leaves (adapters/providers/wire.py)"


class OpenAICompatibleProvider:
    """ModelProvider of ProviderKind.OPENAI_COMPATIBLE. `client` comes from adapters.providers.wire.http_client."""

    def __init__(self, *, client: httpx2.AsyncClient, secrets: SecretResolver) -> None:
        self._client = client
        self._secrets = secrets

    async def call(self, request: ModelRequest, settings: ProviderSettings) -> ModelReply:
        what = f"{settings.name}:{request.model}"
        headers = {
            ROLE_HEADER: header_text(request.role),
            TURN_HEADER: str(request.turn),
            ITERATION_HEADER: str(request.iteration),
        }
        if settings.credential is not None:
            headers["authorization"] = f"Bearer {credential(self._secrets, settings.credential, what)}"
        refused: CallRefused | None = None
        with exchange(headers) as seen:
            try:
                model = _model(self._client, settings.base_url or OPENAI_URL, request.model)
                response = await model_request(
                    model,
                    wire_messages(request),
                    model_settings=_settings(request),
                    model_request_parameters=wire_parameters(request),
                )
            except FOREIGN as error:
                refused = from_exception(error, what, seen)
        if refused is not None:
            raise refused
        return reply_of(response, _usage(seen.body or ""), seen, what, request)


class _ChatModel(OpenAIChatModel):
    """Usage is read from the body by us: an answer is not thrown away because a server counts less than OpenAI."""

    def _validate_completion(self, response: ChatCompletion) -> Any:
        response.usage = None
        return super()._validate_completion(response)


@lru_cache(maxsize=256)
def _model(client: httpx2.AsyncClient, base_url: str, name: str) -> OpenAIChatModel:
    """Holds no credential, so one serves every organization. Only OpenAI itself wants `max_completion_tokens`."""
    sdk = AsyncOpenAI(base_url=base_url, api_key=_PLACEHOLDER_KEY, http_client=client, max_retries=0)
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=base_url == OPENAI_URL)
    return _ChatModel(name, provider=OpenAIProvider(openai_client=sdk), profile=profile)


def _settings(request: ModelRequest) -> OpenAIChatModelSettings:
    settings = OpenAIChatModelSettings(max_tokens=request.max_output_tokens, timeout=request.timeout_seconds)
    if request.seed is not None:
        settings["seed"] = request.seed
    return settings


def _usage(body: str) -> TokenUsage:
    """What the response itself says; the library would make 0 of what is missing."""
    parsed = json.loads(body, parse_float=Decimal)
    usage = parsed.get("usage") if isinstance(parsed, dict) else None
    if not isinstance(usage, dict):
        return TokenUsage()
    details = usage.get("prompt_tokens_details")
    cost = usage.get("cost")
    return TokenUsage(
        tokens_in=_count(usage, "prompt_tokens"),
        tokens_out=_count(usage, "completion_tokens"),
        tokens_cached=_count(details, "cached_tokens") if isinstance(details, dict) else None,
        billed_usd=Decimal(cost) if isinstance(cost, int | Decimal) and not isinstance(cost, bool) else None,
    )


def _count(usage: Mapping[str, object], name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def header_text(text: str) -> str:
    """A role as a header can carry it."""
    return "".join(char for char in text if char.isascii() and char.isprintable())[:100]
