"""A key in the environment of `up` lets the local organization use that provider: README's own example."""

from cli.stack.plan import provider_arguments


def test_without_a_key_none() -> None:
    assert provider_arguments("openai", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}) == []


def test_with_a_key_its_reference_never_its_value() -> None:
    asked = provider_arguments("openai", {"OPENAI_API_KEY": "planted"})
    assert asked == ["--provider", "openai", "--provider-credential", "env:OPENAI_API_KEY"]


def test_anthropic_speaks_its_own_format() -> None:
    asked = provider_arguments("anthropic", {"ANTHROPIC_API_KEY": "planted"})
    assert asked[:4] == ["--provider", "anthropic", "--provider-credential", "env:ANTHROPIC_API_KEY"]
    assert asked[4:] == ["--provider-kind", "anthropic"], "else its key would go to OpenAI"


def test_an_endpoint_of_ones_own() -> None:
    asked = provider_arguments("my-lab", {"MY_LAB_API_KEY": "x", "MY_LAB_BASE_URL": "http://127.0.0.1:1/v1"})
    assert asked[-2:] == ["--provider-url", "http://127.0.0.1:1/v1"]
