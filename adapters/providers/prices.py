"""The price table: genai-prices as it was locked, never fetched at run time.

A price is looked up by the endpoint's address, not by the model's name alone: a self-hosted server that calls its
model `gpt-5-mini` does not bill what OpenAI bills.
"""

from functools import lru_cache

from genai_prices import Usage, __version__
from genai_prices.data_snapshot import get_snapshot

from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.prices import Priced

PRICE_VERSION = f"genai-prices {__version__}"

OPENAI_URL = "https://api.openai.com/v1"
"""Endpoint of an `openai_compatible` provider that names none."""
ANTHROPIC_URL = "https://api.anthropic.com"
"""Endpoint of an `anthropic` provider that names none."""
_URLS = {ProviderKind.OPENAI_COMPATIBLE: OPENAI_URL, ProviderKind.ANTHROPIC: ANTHROPIC_URL}


class GenaiPrices:
    """PriceTable over the snapshot that is part of the locked package."""

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
        url = provider.base_url or _URLS.get(provider.kind)
        if url is None or provider.kind is ProviderKind.SCRIPTED or not _is_priced(url, model):
            return None
        read = min(tokens_cached, tokens_in)
        usage = Usage(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cache_read_tokens=read,
            cache_write_tokens=min(tokens_cache_written, tokens_in - read),
        )
        found = get_snapshot().calc(usage, model, None, url, None)
        return Priced(usd=found.total_price, version=PRICE_VERSION)


@lru_cache(maxsize=4_096)
def _is_priced(url: str, model: str) -> bool:
    """Whether the table knows the model at this address; a miss costs a search of the whole table, so it is kept."""
    try:
        get_snapshot().find_provider_model(model, None, None, url)
    except LookupError:
        return False
    return True
