"""What a call costs, and what is reserved for it before. Unknown stays None, never 0.

Order: what the provider says it billed; the price table; the price that the policy states; else unpriced.
"""

import json
from decimal import Decimal
from typing import Protocol

from domain.base import Frozen
from domain.models.messages import Message, TokenUsage, ToolSpec
from domain.models.policy import ProviderSettings

BILLED = "billed"
"""`price_version` of a cost that the provider itself stated."""

_MILLION = Decimal(1_000_000)
_BYTES_PER_TOKEN = 2
"""Low on purpose (English text has about 4): a reservation must not be smaller than the bill."""
_TOKENS_PER_MESSAGE = 8
"""Frame of a message on the wire, rounded up."""


class Priced(Frozen):
    usd: Decimal
    version: str
    """Which table or policy the price came from."""


class PriceTable(Protocol):
    """Known prices by endpoint and model; never fetches."""

    def price(
        self,
        provider: ProviderSettings,
        model: str,
        *,
        tokens_in: int,
        tokens_out: int,
        tokens_cached: int,
        tokens_cache_written: int = 0,
    ) -> Priced | None:
        """None: the table does not know this model at this endpoint."""
        ...


def estimated_tokens_in(messages: tuple[Message, ...], tools: tuple[ToolSpec, ...] = ()) -> int:
    """Upper estimate of the input tokens of a request, its tool calls, their results and the tools' specs included."""
    found = sum(_framed(m.text) for m in messages)
    for m in messages:
        found += sum(_framed(call.id + call.name + call.arguments) for call in m.tool_calls)
        found += sum(_framed(result.call_id + result.name + result.text) for result in m.tool_results)
    return found + sum(_framed(tool.name + tool.description + json.dumps(tool.parameters)) for tool in tools)


def _framed(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE


def cost_of(
    table: PriceTable, provider: ProviderSettings, models: tuple[str, ...], usage: TokenUsage, *, policy_version: int
) -> Priced | None:
    """Cost of an answered call. `models`: names to look up, the best known first (answered, asked)."""
    if usage.billed_usd is not None:
        return Priced(usd=usage.billed_usd, version=BILLED)
    if usage.tokens_in is not None and usage.tokens_out is not None:
        for model in models:
            found = table.price(
                provider,
                model,
                tokens_in=usage.tokens_in,
                tokens_out=usage.tokens_out,
                tokens_cached=usage.tokens_cached or 0,
                tokens_cache_written=usage.tokens_cache_written or 0,
            )
            if found is not None:
                return found
    return _stated(provider, usage.tokens_in, usage.tokens_out, policy_version)


def reservation(
    table: PriceTable, provider: ProviderSettings, model: str, tokens_in: int, tokens_out: int, *, policy_version: int
) -> Decimal | None:
    """Upper estimate of the cost of a call about to be made; None: unpriced."""
    found = table.price(provider, model, tokens_in=tokens_in, tokens_out=tokens_out, tokens_cached=0)
    priced = found or _stated(provider, tokens_in, tokens_out, policy_version)
    return None if priced is None else priced.usd


def _stated(
    provider: ProviderSettings, tokens_in: int | None, tokens_out: int | None, policy_version: int
) -> Priced | None:
    parts = (
        _part(tokens_in, provider.price_in_usd_per_million),
        _part(tokens_out, provider.price_out_usd_per_million),
    )
    if parts[0] is None or parts[1] is None:
        return None
    return Priced(usd=parts[0] + parts[1], version=f"policy v{policy_version}")


def _part(tokens: int | None, usd_per_million: Decimal | None) -> Decimal | None:
    """A price of 0 makes the part 0 whatever the tokens are."""
    if usd_per_million is None:
        return None
    if usd_per_million == 0:
        return Decimal(0)
    return None if tokens is None else tokens * usd_per_million / _MILLION
