"""Adapters of providers are reached from one place, and each kind has its tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.providers.registry import open_providers
from domain.models.policy import ProviderKind

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("domain", "pipelines", "activities", "workflows", "adapters", "worker", "api", "cli")
THE_PATH = "activities/models/calls.py"
THE_GATEWAYS_PORT = "domain/gateway/wire.py"
"""Names the provider that the path is told to ask in place of the kind's own; it asks none itself."""
COMPOSITION_ROOTS = {"worker/compose.py", "worker/agents.py"}
WIRE_LIBRARIES = {"openai", "pydantic_ai", "anthropic", "httpx2", "genai_prices"}
ANOTHER_USE = {("adapters/mcp/", "httpx2"): "speaks to servers of tools"}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def _imported(tree: ast.Module) -> set[str]:
    """Modules, and names out of modules, that a file imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_adapters_of_providers_are_named_in_the_composition_root_only() -> None:
    outside = {
        name
        for name, tree in _modules()
        if not name.startswith("adapters/providers/")
        and any(module.startswith("adapters.providers") for module in _imported(tree))
    }
    assert outside <= COMPOSITION_ROOTS, "ask activities.models.calls.ModelCalls instead of an adapter"


def test_the_port_of_a_provider_is_used_on_the_one_path_only() -> None:
    users = {
        name
        for name, tree in _modules()
        if "domain.models.ports.ModelProvider" in _imported(tree) and not name.startswith("adapters/providers/")
    }
    wrong = users - {THE_PATH, THE_GATEWAYS_PORT}
    assert not wrong, "policy, limits, cost and steps hold only for calls through ModelCalls"


def test_the_path_asks_a_provider_in_one_place() -> None:
    tree = ast.parse((ROOT / THE_PATH).read_text())
    asking = [
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "provider.call"
    ]
    assert asking == ["_ask"]
    begins = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "_ask"]
    assert len(begins) == 1, "`_ask` is reached after begin_call only"


def test_libraries_that_speak_to_providers_stay_behind_the_adapters() -> None:
    wrong = [
        name
        for name, tree in _modules()
        if not name.startswith("adapters/providers/")
        and (WIRE_LIBRARIES & {module.split(".")[0] for module in _imported(tree)}) - _otherwise_used(name)
    ]
    assert not wrong, "only adapters/providers speak to providers"


def _otherwise_used(name: str) -> set[str]:
    return {library for (place, library) in ANOTHER_USE if name.startswith(place)}


class _NoSecrets:
    def resolve(self, reference: str) -> str:
        raise AssertionError(reference)


async def test_every_kind_has_an_adapter(tmp_path: Path) -> None:
    async with open_providers(scripts=tmp_path, secrets=_NoSecrets()) as providers:
        assert set(providers) == set(ProviderKind)


@pytest.mark.parametrize("kind", ProviderKind)
def test_every_adapter_has_its_tests(kind: ProviderKind) -> None:
    tests = ROOT / "tests" / "adapters" / "providers" / f"test_{kind.value}.py"
    assert tests.is_file(), f"a provider without tests does not ship: write {tests.relative_to(ROOT)}"
    assert sum("test_" in line for line in tests.read_text().splitlines() if "def " in line) >= 5
