"""docs/overview.md names files that exist, and they hold what it says: the test fails when one moves."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OVERVIEW = (ROOT / "docs" / "overview.md").read_text()
PATHS = sorted(set(re.findall(r"`([a-z_]+/[\w./-]+\.(?:py|md|yaml))`", OVERVIEW)))

SAYS = {
    "workflows/run.py": "class RunWorkflow",
    "activities/runs/protocol.py": "async def run_phase",
    "domain/runs/decide.py": "def decide(",
    "adapters/temporal/relay.py": "class Relay",
    "adapters/temporal/reconciler.py": "class Reconciler",
    "api/app.py": "def create_app",
    "worker/compose.py": "def compose",
    "cli/__main__.py": "def main",
    "pipelines/load.py": "def ",
}


def test_paths_are_named() -> None:
    assert set(SAYS) <= set(PATHS)
    assert sum(path.startswith("pipelines/") and path.endswith(".md") for path in PATHS) >= 3


@pytest.mark.parametrize("path", PATHS)
def test_a_named_file_exists(path: str) -> None:
    assert (ROOT / path).is_file(), f"docs/overview.md names {path}: move the line with the file"


@pytest.mark.parametrize(("path", "text"), SAYS.items())
def test_an_entry_point_is_where_it_is_said_to_be(path: str, text: str) -> None:
    assert text in (ROOT / path).read_text(), f"docs/overview.md calls {path} an entry point, but `{text}` is not there"


def test_agents_page_is_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 120
