"""The price table: offline, by endpoint."""

import socket
from decimal import Decimal

import pytest

from adapters.providers.prices import PRICE_VERSION, GenaiPrices
from domain.models.policy import ProviderKind, ProviderSettings
from domain.models.prices import Priced


def _price(model: str, base_url: str | None, kind: ProviderKind = ProviderKind.OPENAI_COMPATIBLE) -> Priced | None:
    provider = ProviderSettings(name="p", kind=kind, base_url=base_url)
    return GenaiPrices().price(provider, model, tokens_in=1_000_000, tokens_out=0, tokens_cached=500_000)


def test_a_known_model_at_its_own_endpoint_is_priced_with_its_cache_discount() -> None:
    found = _price("gpt-4o-mini", None)
    assert found == Priced(usd=Decimal("0.1125"), version=PRICE_VERSION)
    assert PRICE_VERSION.startswith("genai-prices ")


def test_the_same_name_elsewhere_is_unpriced() -> None:
    assert _price("gpt-4o-mini", "http://127.0.0.1:8000/v1") is None
    assert _price("gpt-4o-mini", None, ProviderKind.SCRIPTED) is None
    assert _price("no-such-model-anywhere", None) is None


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the price table opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert _price("gpt-4o", None) is not None
