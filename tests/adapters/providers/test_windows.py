"""Windows come from the locked table; what it does not know is unknown, not a guess."""

from adapters.providers.windows import GenaiWindows


def test_known_models_have_their_window() -> None:
    windows = GenaiWindows()
    assert windows.tokens("anthropic:claude-sonnet-4-5") == 200_000
    assert windows.tokens("openai:gpt-5-mini") == 400_000
    assert (windows.tokens("house:gpt-4o") or 0) >= 64_000, "a known model at another address"


def test_an_unknown_model_has_none() -> None:
    assert GenaiWindows().tokens("scripted:demo") is None
