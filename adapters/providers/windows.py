"""Context windows of models, as genai-prices knows them; never fetched at run time."""

from functools import lru_cache

from genai_prices.data_snapshot import get_snapshot


class GenaiWindows:
    """ContextWindows over the snapshot that is part of the locked package."""

    def tokens(self, model: str) -> int | None:
        provider, _, name = model.partition(":")
        return _tokens(provider, name)


@lru_cache(maxsize=1_024)
def _tokens(provider: str, name: str) -> int | None:
    """Of the provider of that name; else the smallest of all that serve the model."""
    found = {
        known.id: int(model.context_window)
        for known in get_snapshot().providers
        for model in known.models
        if model.context_window is not None and model.is_match(name)
    }
    return found.get(provider) or min(found.values(), default=None)
