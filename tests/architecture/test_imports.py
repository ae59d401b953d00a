"""The import rule of docs/overview.md: which layer may know which, and who may read the environment."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED: dict[str, set[str]] = {
    "domain": set(),
    "pipelines": {"domain"},
    "activities": {"domain"},
    "workflows": {"domain", "activities"},
    "adapters": {"domain"},
    "worker": {"domain", "activities", "workflows", "adapters", "pipelines"},
    "api": {"domain", "adapters", "workflows", "pipelines"},
    "cli": {"domain", "pipelines"},
}
"""Layer -> the layers of ours that it may import. `pipelines` is the YAML reader beside the shipped files."""

DOMAIN_LIBRARIES = set(sys.stdlib_module_names) | {"pydantic", "annotated_types"}
WORKFLOW_LIBRARIES = DOMAIN_LIBRARIES | {"temporalio"}
CLOCKS = {"time", "random", "secrets", "subprocess", "socket", "threading", "asyncio", "os"}
"""Standard library modules that mean I/O, a clock or chance: not in domain."""


def _modules(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def _imports(path: Path) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole path"
            found.append((node.lineno, node.module))
    return found


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_layer_imports_only_what_it_may(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}; {layer} may import {sorted(ALLOWED[layer]) or 'none of ours'}"
        for path in _modules(layer)
        for line, name in _imports(path)
        if (top := name.split(".")[0]) in ALLOWED and top != layer and top not in ALLOWED[layer]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_top_level_package_is_under_the_rule() -> None:
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(ALLOWED), "a new top-level package needs its line in ALLOWED and in docs/overview.md"


def test_domain_is_pure() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in _modules("domain")
        for line, name in _imports(path)
        if (top := name.split(".")[0]) != "domain"
        and (top not in DOMAIN_LIBRARIES or top in CLOCKS)
        and not (top in {"numpy", "scipy"} and "statistics" in path.parts)
    ]
    assert not wrong, "domain knows pydantic and the pure standard library only:\n" + "\n".join(wrong)


def test_workflows_import_no_library_but_temporal() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in _modules("workflows")
        for line, name in _imports(path)
        if name.split(".")[0] not in WORKFLOW_LIBRARIES | ALLOWED["workflows"] | {"workflows"}
    ]
    assert not wrong, "a workflow is deterministic and small:\n" + "\n".join(wrong)


def _reads_environment(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv", "environb"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def test_environment_is_read_once_in_main() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for layer in ALLOWED
        for path in _modules(layer)
        if path.name not in {"__main__.py", "settings.py"}
        for node in ast.walk(ast.parse(path.read_text()))
        if _reads_environment(node)
    ]
    assert not wrong, "read the environment in __main__ or settings.py and pass values on:\n" + "\n".join(wrong)
